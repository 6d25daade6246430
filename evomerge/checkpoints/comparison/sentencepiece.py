"""The pieces of a SentencePiece model, read from its file without the library.

The file is a protocol buffer: a sequence of fields, each a key (number and wire type) and a value. Field 1, repeated,
is a piece, itself such a message, whose field 1 is its text. See ``sentencepiece_model.proto`` of
https://github.com/google/sentencepiece.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_PIECE = _TEXT = 1


def read_pieces(path: Path) -> dict[str, int] | None:
    """Reads the map from piece to position.

    Returns:
        The map, or None where there is no such file or it is none of SentencePiece's.
    """
    try:
        data = path.read_bytes()
        pieces = [value for number, value in _fields(data) if number == _PIECE]
        texts = [next(text for number, text in _fields(piece) if number == _TEXT).decode("utf-8") for piece in pieces]
    except (OSError, ValueError, IndexError, StopIteration):
        return None
    return {text: index for index, text in enumerate(texts)} or None


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and value of each field that holds bytes."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        kind = key & 7
        if kind == _VARINT:
            _, position = _varint(data, position)
        elif kind in (_FIXED64, _FIXED32):
            position += 8 if kind == _FIXED64 else 4
        elif kind == _BYTES:
            length, position = _varint(data, position)
            if position + length > len(data):
                raise ValueError("a field goes beyond the end")
            yield key >> 3, data[position : position + length]
            position += length
        else:
            raise ValueError(f"unknown wire type {kind}")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return value, position
        shift += 7
