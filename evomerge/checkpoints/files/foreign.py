"""Files of a model's folder read by transformers' own classes, whose errors become ours here and nowhere else.

Each class checks what it reads in its own way, and says what is wrong in the words of its own code: a TypeError about
something unhashable, a bare Exception, no file. What is caught is what their code raises, never ours: nothing but their
calls stands inside :func:`read_by_transformers`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import transformers
from transformers import AutoConfig, AutoTokenizer, GenerationConfig, PretrainedConfig, PreTrainedTokenizerFast

from evomerge.checkpoints.files.folder_files import file_problems
from evomerge.checkpoints.files.own_code import model_needs_code, names_code, tokenizer_needs_code
from evomerge.checkpoints.json_files import read_object
from evomerge.errors import InputError

TOKENIZER = "tokenizer.json"
_TOKENIZER_FILES = (
    TOKENIZER, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt",
    "merges.txt", "tokenizer.model",
)  # fmt: skip
_TRIAL = "a"
_LONGEST = 500  # characters of a foreign message


@contextmanager
def read_by_transformers(problem: str) -> Iterator[None]:
    """Turns whatever transformers raises in the block into an input error.

    Args:
        problem: What could not be done, with the name of the file; the reason is put behind it.

    Raises:
        InputError: Where the block raises anything, lack of memory included: for such a file it is asked without end.
    """
    try:
        with silently():
            yield
    except InputError:
        raise
    except BaseException as error:
        # A panic of the tokenizers library, which is written in Rust, is no Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise InputError(f"{problem}: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """A foreign error in one line: its type and the beginning of its text."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:_LONGEST]}"


def parse_config(kind: str, data: Mapping[str, Any]) -> PretrainedConfig:
    """A config of a type that transformers knows, from the content of a ``config.json``; raises what its class raises.

    Args:
        kind: Its ``model_type``.
        data: The content, which stays as it is.
    """
    return transformers.CONFIG_MAPPING[kind].from_dict(_with_numbers(data))  # type: ignore[no-any-return]


def _with_numbers(data: Any) -> Any:
    """A copy with infinities for the objects by which transformers writes them, JSON having no word for them."""
    if isinstance(data, Mapping):
        if list(data) == ["__float__"] and data["__float__"] in ("Infinity", "-Infinity", "NaN"):
            return float(data["__float__"])
        return {name: _with_numbers(value) for name, value in data.items()}
    return [_with_numbers(value) for value in data] if isinstance(data, list) else data


def read_tokenizer(folder: Path, *, trust_remote_code: bool = False) -> Any:
    """The tokenizer of a folder, which has encoded a text.

    Raises:
        InputError: If there is none that transformers can read, or texts cannot be encoded with it. The message names
            the file where it is known which one is broken, and else all that there are.
    """
    files = [name for name in _TOKENIZER_FILES if (folder / name).is_file()]
    named = f"its files are {', '.join(files)}" if files else f"it has no {TOKENIZER} or other file of one"
    try:
        with read_by_transformers(f"{str(folder)!r} has no tokenizer that can be read; {named}"):
            tokenizer = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=trust_remote_code
            )
            tokenizer(_TRIAL)
    except InputError as error:
        raise InputError((TOKENIZER in files and _broken(folder / TOKENIZER)) or error.problems) from error
    return tokenizer


def unreadable_companions(folder: Path) -> list[str]:
    """Why transformers could not load a model from a folder whose weights are not there yet.

    Config, generation settings and tokenizer are read. What no class here knows is left alone: a model type, or a
    tokenizer, that comes with code of its own or needs a library that is not installed.

    Args:
        folder: A folder with the files of a model beside its weights.

    Returns:
        One sentence for each file that it could not read.
    """
    problems = file_problems(folder)
    config = read_object(folder / "config.json")
    if problems or config.get("model_type") not in transformers.CONFIG_MAPPING:
        return problems
    for read in (_read_config, _read_generation, _read_tokenizer):
        try:
            read(folder)
        except InputError as error:
            problems += error.problems
    return problems


def _read_config(folder: Path) -> None:
    path = folder / "config.json"
    if model_needs_code(path):
        return
    with read_by_transformers(f"transformers cannot read {str(path)!r}"):
        AutoConfig.from_pretrained(folder, local_files_only=True)


def _read_generation(folder: Path) -> None:
    path = folder / "generation_config.json"
    if path.is_file():
        with read_by_transformers(f"transformers cannot read {str(path)!r}"):
            GenerationConfig.from_pretrained(folder, local_files_only=True)


def _read_tokenizer(folder: Path) -> None:
    """Reads a tokenizer that can be read without code of its own or another library: that of ``tokenizer.json``."""
    by_itself = tokenizer_needs_code(folder / "tokenizer_config.json")
    if (folder / TOKENIZER).is_file() and not by_itself and not names_code(read_object(folder / "config.json")):
        read_tokenizer(folder)


def _broken(path: Path) -> str | None:
    """Why ``tokenizer.json`` itself cannot be read, whatever the other files say."""
    try:
        with read_by_transformers(f"transformers cannot read {str(path)!r}"):
            PreTrainedTokenizerFast(tokenizer_file=str(path))
    except InputError as error:
        return str(error)
    return None


@contextmanager
def silently() -> Iterator[None]:
    """Keeps transformers from remarking on old files: whatever matters is said by its errors and our comparison."""
    logging = transformers.utils.logging
    before = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(before)
