"""The recipes of a run's records, left on disk: few of them are ever looked into."""

from __future__ import annotations

from pathlib import Path

from evomerge.errors import InputError
from evomerge.evaluation import JsonText
from evomerge.store.files import damaged

_BLOCK = 1 << 18  # bytes read together: who reads the recipes of all records does so in the order of the file


class RecipeTexts:
    """Reads recipes from a file of records.

    Args:
        path: The file; it is appended to and never rewritten.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._block = (0, b"")  # what was read last: its place and its bytes

    def at(self, start: int, length: int) -> StoredText:
        """The recipe whose text are so many bytes from a place on; the file is not opened."""
        return StoredText(self, start, length)

    def read(self, start: int, length: int) -> str:
        """Reads a text.

        Raises:
            InputError: If the file is missing, or something else lies there.
        """
        place, block = self._block
        if not place <= start <= start + length <= place + len(block):
            place = start // _BLOCK * _BLOCK
            try:
                with self._path.open("rb") as file:
                    file.seek(place)
                    block = file.read(start + length - place + _BLOCK)
            except OSError as error:
                raise InputError(
                    f"{self._path} cannot be read: {error.strerror or error}. Take it from a copy of the run's folder"
                ) from error
            self._block = place, block
        data = block[start - place : start - place + length]
        try:
            if len(data) < length or not (data.startswith(b"{") and data.endswith(b"}")):
                raise ValueError("there is no recipe")
            return data.decode()
        except ValueError as error:
            raise InputError(damaged(f"{self._path}, {length} bytes from {start},", error)) from error


class StoredText(JsonText):
    """A recipe's text that is read when it is looked at.

    Args:
        texts: The file that it lies in.
        start: Its first byte.
        length: Number of bytes.
    """

    __slots__ = ("_length", "_start", "_texts")

    def __init__(self, texts: RecipeTexts, start: int, length: int) -> None:
        self._texts = texts
        self._start = start
        self._length = length

    @property
    def text(self) -> str:
        """The text."""
        return self._texts.read(self._start, self._length)
