"""User-defined metrics: Python functions of a model and its tokenizer."""

from __future__ import annotations

import ast
import copy
import hashlib
import importlib.util
import inspect
import math
import sys
import textwrap
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from evomerge.candidate.loading import first_line
from evomerge.errors import InputError, suggest
from evomerge.evaluation import PYTHON
from evomerge.fitness import isolated_rng


class NonFiniteMetric(ArithmeticError):
    """A user's metric that is not a finite number."""


class FunctionError(RuntimeError):
    """A user's metric that raised; the message names it, the line and what it raised."""


@dataclass(frozen=True)
class UserFunction:
    """One function in one file.

    Attributes:
        path: The file, absolute.
        name: The function's name; its metric is ``python.NAME``.
        higher_is_better: False where the file says ``NAME.higher_is_better = False``.
        content: SHA-256 of the file: a changed file is another fitness.
    """

    path: str
    name: str
    higher_is_better: bool
    content: str

    @property
    def metric(self) -> str:
        """The metric key."""
        return f"{PYTHON}.{self.name}"

    def load(self) -> Callable[[Any, Any], float]:
        """Runs the file and returns its function.

        Raises:
            InputError: If the file is not what it was when the function was found, or fails.
        """
        path = Path(self.path)
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != self.content:
            raise InputError(
                f"functions: {self.path!r} has changed since the run began, and its scores would be others; put it "
                "back and repeat the command, or choose another run_dir"
            )
        return getattr(_module(path), self.name)


def find_function(text: str) -> UserFunction:
    """Reads ``FILE.py:NAME``.

    Raises:
        InputError: If there is no such file or no such function in it.
    """
    place, _, name = text.rpartition(":")
    path = Path(place).expanduser().absolute()
    if not place or path.suffix != ".py" or not name.isidentifier():
        raise InputError(f"functions: {text!r} cannot be read; write FILE.py:NAME")
    if not path.is_file():
        raise InputError(f"functions: there is no file {place!r}")
    try:
        source = path.read_bytes()
    except OSError as error:
        raise InputError(f"functions: {place!r} cannot be read: {error.strerror or error}") from error
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise InputError(f"functions: {place!r} is not Python: line {error.lineno}: {error.msg}") from error
    except ValueError as error:  # bytes that no source holds
        raise InputError(f"functions: {place!r} is not Python: {error}") from error
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    if name not in defined:
        raise InputError(
            f"functions: {place!r} defines no function {name!r}{suggest(name, defined)} "
            f"(it has {', '.join(defined) or 'none'})"
        )
    function = getattr(_module(path), name)
    if problem := _shape_problem(function):
        raise InputError(
            f"functions: {name!r} in {place!r} {problem}; write def {name}(model, tokenizer) that returns a number"
        )
    higher = bool(getattr(function, "higher_is_better", True))
    return UserFunction(str(path), name, higher, hashlib.sha256(source).hexdigest())


def _shape_problem(function: Any) -> str | None:
    """Why a function cannot be called, or gives no number whatever the model is; None where that does not show."""
    if not callable(function):
        return "is no function any more when the file has run"
    if inspect.isgeneratorfunction(inspect.unwrap(function)):
        return "yields values"
    try:
        inspect.signature(function).bind("model", "tokenizer")
    except TypeError:
        return f"takes {inspect.signature(function)}"
    except ValueError:  # built in; nobody can tell
        return None
    return None


def call_function(
    function: Callable[[Any, Any], float], name: str, model: Any, tokenizer: Any, *, candidate: str
) -> float:
    """Calls a function in isolation and requires a finite number.

    Global random generators, the model's mode and its generation settings are restored afterwards, whatever the
    function did to them. The generators are seeded by the candidate and the metric alone, so the numbers drawn depend
    neither on the process nor on earlier calls.

    Args:
        function: The user's.
        name: Its metric key.
        model: The candidate.
        tokenizer: The candidate's.
        candidate: Digest of the candidate's recipe.

    Raises:
        NonFiniteMetric: If it returned a number that is not finite.
        FunctionError: If it raised; lack of memory is raised as it is.
    """
    seed = int(hashlib.sha256(f"{candidate} {name}".encode()).hexdigest()[:15], 16)
    generation = copy.deepcopy(getattr(model, "generation_config", None))
    try:
        with isolated_rng(seed), torch.no_grad():
            value: Any = function(model, tokenizer)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except (Exception, SystemExit) as error:  # a function that calls sys.exit ends itself, not the search
        place, kind = _failing_line(function, error), type(error).__name__
        raise FunctionError(f"{name} ({place}) raised {kind}: {first_line(error)}") from error
    finally:
        model.eval()
        if generation is not None:
            model.generation_config = generation
    try:
        if isinstance(value, str | bytes | bytearray):
            raise TypeError("a text is no number, though Python would read it as one")
        number = float(value)
    except Exception as error:  # each library's objects refuse in their own way
        raise FunctionError(f"{name} returned {textwrap.shorten(repr(value), 60)}; expected a number") from error
    if not math.isfinite(number):
        raise NonFiniteMetric(f"the function {name} returned {value}")
    return number


def _failing_line(function: Callable[[Any, Any], float], error: BaseException) -> str:
    """``FILE:LINE`` of the user's line that failed: the last in the function's own file, else where it is defined."""
    lines = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    code = getattr(inspect.unwrap(function), "__code__", None)
    own = [place for place in lines if code is not None and place[0] == code.co_filename]
    if not own and code is not None:  # such as one that takes other arguments
        own = [(code.co_filename, code.co_firstlineno)]
    file, line = (own or lines)[-1]
    return f"{Path(file).name}:{line}"


def _module(path: Path) -> Any:
    name = f"evomerge_user_{path.stem}_{hashlib.sha256(bytes(path)).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"functions: {str(path)!r} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # as for every import: dataclasses and pickle look a module up by its name
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise InputError(
            f"functions: {str(path)!r} failed to load: {type(error).__name__}: {first_line(error)}"
        ) from error
    return module
