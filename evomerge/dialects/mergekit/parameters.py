"""Parameters that mergekit's methods know, and what they are worth in recipes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evomerge import methods
from evomerge.dialects.mergekit.config import Configuration
from evomerge.dialects.mergekit.fields import text
from evomerge.dialects.mergekit.settings import Parameters, Setting, lookup, parameters
from evomerge.errors import InputError, suggest
from evomerge.methods import MergeMethod

# Values where nothing is said; None where something must be.
_DEFAULTS: Mapping[str, float | None] = {
    "weight": None, "t": None, "density": 1.0, "gamma": 0.01, "epsilon": 0.15, "lambda": 1.0, "select_topk": 1.0,
    "scale": 1.0, "r": 0.1, "alpha": 0.2,
}  # fmt: skip
# Looked up for each model; the others for the merged tensor.
_PER_MODEL = ("weight", "density", "gamma", "epsilon", "scale")
# Known to mergekit and without effect on the result: how a mask is held in memory.
_INERT = ("int8_mask",)


@dataclass(frozen=True)
class Vocabulary:
    """The words of one method.

    Attributes:
        method: The method.
        options: mergekit's parameters that are options here, with their defaults.
        coefficients: Names of the coefficients that mergekit has too.
    """

    method: MergeMethod
    options: Mapping[str, Any]
    coefficients: tuple[str, ...]

    @classmethod
    def of(cls, name: str) -> Vocabulary:
        """The words of a method that mergekit has.

        Raises:
            InputError: If there is no such method, or mergekit has none of that name.
        """
        known = [other for other in methods.names() if methods.load(other).mergekit_parameters is not None]
        if name not in known:
            raise InputError(f"merge_method is {name!r}{suggest(name, known)} (supported are {', '.join(known)})")
        method = methods.load(name)
        said = method.mergekit_parameters
        assert said is not None
        declared = method.coefficients(method.resolve(said.read(dict(said.defaults))))
        return cls(method, said.defaults, tuple(c.name for c in declared if c.name not in said.lacks))

    def read_options(self, levels: Sequence[Parameters], tensor: str, depth: float) -> dict[str, Any]:
        """The method's options for a tensor.

        Args:
            levels: Parameters from the innermost to the outermost.
            tensor: The merged tensor's name.
            depth: Its place in its slice.

        Raises:
            InputError: If a value is none that the parameter takes.
        """
        values: dict[str, Any] = {}
        for name, default in self.options.items():
            value = lookup(levels, name, tensor, depth)
            values[name] = default if value is None else _typed(name, value, default)
        said = self.method.mergekit_parameters
        assert said is not None
        return self.method.stated(said.read(values))

    def read_value(self, name: str, levels: Sequence[Parameters], tensor: str, depth: float) -> float | None:
        """A coefficient's value for a tensor; None where it must be said and is not."""
        value = lookup(levels, name, tensor, depth)
        return _DEFAULTS[name] if value is None else value

    def unread(self, configuration: Configuration) -> Iterator[str]:
        """Sentences on parameters that are there for nothing: of other methods, or where this one is not looked up."""
        for where, level, of_model in configuration.levels():
            for name in level:
                if name in self.coefficients or name in self.options:
                    if of_model and name not in _PER_MODEL:
                        yield f"{where}.{name} is not read: mergekit reads it in parameters outside models"
                elif name not in _INERT:
                    yield f"{where}.{name} is not read: {self.method.name} has no parameter {name}"


def method_name(value: Any, where: str) -> str:
    """Reads the name of a method that mergekit has.

    Raises:
        InputError: If it is none.
    """
    Vocabulary.of(text(value, where))
    return str(value)


def known_parameters(value: Any, where: str) -> dict[str, Setting]:
    """Reads a mapping of parameters, each of which some method has.

    Raises:
        InputError: With everything in it that is no value, or no parameter.
    """
    known = _all_names()
    names = [str(name) for name in value] if isinstance(value, Mapping) else []
    problems = [f"unsupported key {where}.{name}{suggest(name, known)}" for name in names if name not in known]
    try:
        found = parameters(value, where)
    except InputError as error:
        raise InputError([*problems, *error.problems]) from error
    if problems:
        raise InputError(problems)
    return found


def per_model(name: str) -> bool:
    """Whether mergekit looks a coefficient up for each model."""
    return name in _PER_MODEL


def _all_names() -> list[str]:
    """The names of all parameters of all methods that mergekit has."""
    declared = [methods.load(name).mergekit_parameters for name in methods.names()]
    return sorted({*_DEFAULTS, *_INERT, *(name for said in declared if said is not None for name in said.defaults)})


def _typed(name: str, value: float, default: Any) -> Any:
    """A value of the type that the parameter has by default."""
    if isinstance(default, bool):
        if value not in (0.0, 1.0):
            raise InputError(f"parameter {name} is {value:g}; expected true or false")
        return bool(value)
    if isinstance(default, int):
        if value != int(value):
            raise InputError(f"parameter {name} is {value:g}; expected a whole number")
        return int(value)
    return value
