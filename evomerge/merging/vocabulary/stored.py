"""A tokenizer as it lies in a model folder."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from transformers import AutoTokenizer

from evomerge.checkpoints import TEMPLATES, read_by_transformers, tokenizer_problems
from evomerge.errors import InputError

_NAMES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "chat_template.jinja",
    "chat_template.json",
)
_SUFFIXES = (".model", ".tiktoken")


class TokenizerSource(Protocol):
    """A tokenizer whose tokens are known, and whose files can be written."""

    @property
    def ids(self) -> Mapping[str, int]:
        """Token to id, added tokens included."""
        ...

    @property
    def added(self) -> Mapping[str, Mapping[str, Any]]:
        """The tokens that were added to its vocabulary, each with its properties."""
        ...

    @property
    def templates(self) -> Path:
        """The folder that its chat templates lie in."""
        ...

    def load(self) -> Any:
        """The tokenizer, as transformers loads it; a new one each time."""
        ...

    def write(self, folder: Path) -> None:
        """Writes its files into a folder."""
        ...


class StoredTokenizer:
    """The tokenizer of a model folder; see :class:`TokenizerSource`.

    Args:
        folder: The model folder.
    """

    def __init__(self, folder: Path) -> None:
        self.templates = folder

    @property
    def ids(self) -> Mapping[str, int]:
        """Token to id, added tokens included.

        Raises:
            InputError: If the folder has no tokenizer that can be read, or one that gives a token or an id twice.
        """
        return self._tokens[0]

    @property
    def added(self) -> Mapping[str, Mapping[str, Any]]:
        """The tokens that were added to its vocabulary, each with its properties.

        Raises:
            InputError: As for :attr:`ids`.
        """
        return self._tokens[1]

    @functools.cached_property
    def _tokens(self) -> tuple[Mapping[str, int], Mapping[str, Mapping[str, Any]]]:
        return _tokens(self.templates, tuple(_stamp(path) for path in tokenizer_files(self.templates)))

    def load(self) -> Any:
        """The tokenizer, as transformers loads it.

        Raises:
            InputError: If transformers cannot load it.
        """
        return load_tokenizer(self.templates)

    def write(self, folder: Path) -> None:
        """Copies its files, byte for byte."""
        for path in tokenizer_files(self.templates):
            shutil.copyfile(path, folder / path.name)
        if (self.templates / TEMPLATES).is_dir():
            shutil.copytree(self.templates / TEMPLATES, folder / TEMPLATES, dirs_exist_ok=True)


def tokenizer_files(folder: Path) -> Iterator[Path]:
    """The files of a model folder that are about its tokenizer, chat templates included."""
    return (path for path in sorted(folder.iterdir()) if path.is_file() and is_tokenizer_file(path.name))


def is_tokenizer_file(name: str) -> bool:
    """Whether a file of this name is about a tokenizer."""
    return name in _NAMES or name.endswith(_SUFFIXES)


def load_tokenizer(folder: Path) -> Any:
    """Loads a folder's tokenizer with transformers; code that comes with it does not run.

    Raises:
        InputError: If transformers cannot load it.
    """
    with read_by_transformers(
        f"the tokenizer in {str(folder)!r} cannot be read; merging token by token needs one that transformers loads "
        "without code of its own, and its files are tokenizer.json and tokenizer_config.json"
    ):
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def state_of(tokenizer: Any, where: str) -> dict[str, Any]:
    """The content of a loaded tokenizer's ``tokenizer.json``.

    Raises:
        InputError: If it is none of the tokenizers library.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise InputError(
            f"the tokenizer in {where} has no form of tokenizer.json, so no tokens can be added to it; take one that "
            "has, or leave its tokens as they are (tokenizer=base)"
        )
    found: dict[str, Any] = json.loads(backend.to_str())
    return found


def _stamp(path: Path) -> tuple[str, int, int]:
    """Another value for a file that has changed."""
    stat = path.stat()
    return path.name, stat.st_mtime_ns, stat.st_size


@functools.lru_cache(maxsize=16)
def _tokens(
    folder: Path, _: tuple[tuple[str, int, int], ...]
) -> tuple[Mapping[str, int], Mapping[str, Mapping[str, Any]]]:
    """Token to id, and the properties of added tokens; loading large tokenizers takes seconds."""
    if problems := tokenizer_problems(folder):
        raise InputError(problems)
    tokenizer = load_tokenizer(folder)
    ids = {str(token): int(index) for token, index in tokenizer.get_vocab().items()}
    listed = tokenizer.added_tokens_decoder.values()
    names = ("single_word", "lstrip", "rstrip", "normalized", "special")
    return ids, {str(token): {name: getattr(token, name) for name in names} for token in listed}
