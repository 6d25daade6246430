"""JSON objects that are kept as text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any


class JsonText(Mapping[str, Any]):
    """A JSON object held as its text and parsed when it is looked into.

    A run holds one recipe per candidate and looks into few of them; parsed, ten thousand recipes are millions of Python
    objects.

    Args:
        text: The JSON text of an object.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    @property
    def text(self) -> str:
        """The text."""
        return self._text

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> JsonText:
        """The text of an object; what is text already stays as it is."""
        return data if isinstance(data, cls) else cls(compact(data))

    def __getitem__(self, key: str) -> Any:
        """The value of a key."""
        return _parsed(self.text)[key]

    def __iter__(self) -> Iterator[str]:
        """The keys in order."""
        return iter(_parsed(self.text))

    def __len__(self) -> int:
        """Number of keys."""
        return len(_parsed(self.text))

    def __eq__(self, other: object) -> bool:
        """Equal to any mapping with the same content."""
        if isinstance(other, JsonText) and self.text == other.text:
            return True
        return isinstance(other, Mapping) and dict(self) == dict(other)

    def __hash__(self) -> int:
        """Of the keys, as equal objects may be written in different order."""
        return hash(frozenset(self))

    def __repr__(self) -> str:
        """The text."""
        return f"JsonText({self.text!r})"

    def __reduce__(self) -> tuple[type[JsonText], tuple[str]]:
        """Pickles as its text."""
        return JsonText, (self.text,)


_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def compact(data: Any) -> str:
    """The shortest JSON text of a value; refuses numbers that JSON cannot hold."""
    return _encode(data)


@lru_cache(maxsize=64)
def _parsed(text: str) -> dict[str, Any]:
    data = json.loads(text)
    if not isinstance(data, dict):
        raise ValueError(f"expected the JSON text of an object, got that of a {type(data).__name__}")
    return data
