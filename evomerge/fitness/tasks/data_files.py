"""The user's own data files: JSON Lines, or a JSON list, in UTF-8, gzipped or not."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from evomerge.errors import InputError

_TYPES = {str: "a text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
_LINE_END = re.compile(r"\r\n|\n|\r")  # not str.splitlines, which also cuts at separators inside texts
_LETTER = re.compile(r"\S")
_OPENED = re.compile(r"\s*\{[ \t]*[\r\n]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# First bytes of files that are no text, and what to do about them.
_OTHER_FORMATS = {
    b"PK\x03\x04": "a zip archive or a spreadsheet; unpack it, or save its rows as JSON Lines",
    b"(\xb5/\xfd": "compressed with zstd; unpack it, or compress it with gzip",
    b"BZh": "compressed with bzip2; unpack it, or compress it with gzip",
    b"\xfd7zXZ": "compressed with xz; unpack it, or compress it with gzip",
    b"PAR1": "a Parquet file; declare it in a task file with dataset_path: parquet",
    b"version https://git-lfs": "a pointer of Git LFS; fetch the data with `git lfs pull`",
    b"<!DOCTYPE": "a web page; fetch the data again",
    b"<html": "a web page; fetch the data again",
    b"ARROW1": "an Arrow file; declare it in a task file with dataset_path: arrow",
}
_SHOWN = 3  # broken lines of a file that are told one by one
_LARGEST = 2**63


def find(name: str, folders: Sequence[Path], task: str) -> Path:
    """Finds a data file, as named or inside one of the folders.

    Raises:
        InputError: If there is none.
    """
    path = Path(name).expanduser()
    candidates = [path] if path.is_absolute() else [path, *(folder / path for folder in folders)]
    if found := next((candidate for candidate in candidates if candidate.is_file()), None):
        return found
    if folder := next((candidate for candidate in candidates if candidate.is_dir()), None):
        raise InputError(f"task {task!r}: data {name!r} is a folder ({folder}); name a file in it")
    places = ", ".join(["the working folder", *(str(folder) for folder in folders)])
    raise InputError(f"task {task!r}: data file {name!r} was not found; looked in {places}")


def read_text(path: Path) -> str:
    """Text of a file, unpacked and without a byte-order mark.

    Raises:
        InputError: If the file cannot be read, or is not UTF-8: file, line, and what to do.
    """
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if data.startswith(_GZIP) else data
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if told := next((told for start, told in _OTHER_FORMATS.items() if data.startswith(start)), None):
        raise InputError(f"{path}: expected JSON Lines in UTF-8; the file is {told}")
    # Texts in UTF-16 and UTF-32 begin with a mark of their own, or have a zero byte in their first two letters.
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:4]:
        raise InputError(f"{path}, line 1: the file is UTF-16 or UTF-32, not UTF-8; save it as UTF-8")
    try:
        return data.removeprefix(_BYTE_ORDER_MARK).decode("utf-8")
    except UnicodeDecodeError as error:
        line = len(_LINE_END.findall(error.object[: error.start].decode("utf-8"))) + 1
        raise InputError(
            f"{path}, line {line}: byte 0x{error.object[error.start]:02x} is not UTF-8 (an older encoding?); "
            "save the file as UTF-8"
        ) from error


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSON Lines file, or of a JSON file that holds a list; every row gets all fields.

    Raises:
        InputError: If the file is empty, not UTF-8, holds something else than JSON objects, or a field holds values of
            several types.
    """
    if path.suffix.lower() in (".csv", ".tsv"):
        raise InputError(
            f"{path}: expected JSON Lines; declare a {path.suffix} file in a task file with dataset_path: csv"
        )
    rows: list[Any] = []
    places: list[str] = []
    problems: list[str] = []
    for place, value in _values(read_text(path), problems):
        if not isinstance(value, dict):
            problems.append(f"{place}: expected a JSON object, came {_TYPES.get(type(value), 'null')}")
        else:
            rows.append(value)
            places.append(place)
    if not rows and not problems:
        raise InputError(f"{path} is empty; a task needs at least one item")
    problems = problems or [told for row, place in zip(rows, places, strict=True) for told in _odd_values(row, place)]
    if len(problems) > _SHOWN:
        problems = [*problems[:_SHOWN], f"{len(problems) - _SHOWN} more of its lines are no better"]
    problems = problems or _mixed_types(rows, places)
    if problems:
        raise InputError([f"{path}, {problem}" for problem in problems])
    fields = list(dict.fromkeys(field for row in rows for field in row))
    return [{field: row.get(field) for field in fields} for row in rows]


def _values(text: str, problems: list[str]) -> Iterator[tuple[str, Any]]:
    """JSON values of a text with where each stands; broken lines are told and left out."""
    if text.lstrip().startswith("["):
        try:
            listed = _DECODER.decode(text)
        except (ValueError, RecursionError) as error:
            line = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else "the list"
            problems.append(f"{line}: expected a JSON list of objects: {_reason(error)}")
            return
        yield from ((f"row {number}", value) for number, value in enumerate(listed, 1))
        return
    if values := _spread(text):
        yield from values
        return
    for number, line in enumerate(_LINE_END.split(text), 1):
        start = 0
        try:
            while rest := line[start:].lstrip():  # several objects may share a line
                value, length = _DECODER.raw_decode(rest)
                start = len(line) - len(rest) + length
                yield f"line {number}", value
        except (ValueError, RecursionError) as error:
            problems.append(f"line {number}: expected a JSON object: {_reason(error)}")


def _spread(text: str) -> list[tuple[str, Any]]:
    """Objects that take several lines each, as other programs print them; empty where a text holds something else."""
    if not _OPENED.match(text):
        return []
    found: list[tuple[str, Any]] = []
    end, line = 0, 1
    try:
        while start := _LETTER.search(text, end):
            line += len(_LINE_END.findall(text, end, start.start()))
            value, after = _DECODER.raw_decode(text, start.start())
            found.append((f"line {line}", value))
            line += len(_LINE_END.findall(text, start.start(), after))
            end = after
    except (ValueError, RecursionError):
        return []
    return found


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return error.msg if isinstance(error, json.JSONDecodeError) else str(error)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"field {twice!r} is given twice; keep one")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value; write null, or leave the item out")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)


def _odd_values(value: Any, place: str) -> Iterator[str]:
    """Values that Python reads and a table of the ``datasets`` library cannot hold."""
    if isinstance(value, dict | list):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from _odd_values(entry, place)
    elif isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        yield f"{place}: {str(value)[:20]}... has more than 64 bits; write it as a text"
    elif isinstance(value, str) and (half := _SURROGATE.search(value)):
        yield f"{place}: a text holds {half.group()!a}, half of a surrogate pair, which is no letter"


def _mixed_types(rows: Sequence[Mapping[str, Any]], places: Sequence[str]) -> list[str]:
    """Fields whose values are not of one type, each with the first place where that shows."""
    first: dict[str, tuple[str, str]] = {}
    found: dict[str, str] = {}
    for row, place in zip(rows, places, strict=True):
        for path, kind in (pair for name, value in row.items() for pair in _types(value, name)):
            known, where = first.setdefault(path, (kind, place))
            if known != kind:
                told = f"{place}: field {path!r} is {kind}, but {known} on {where}; write it the same way everywhere"
                found.setdefault(path, told)
    return list(found.values())


def _types(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """A value's type in the words of JSON, and those of what lies in it, by path; null goes with everything."""
    if value is None:
        return
    yield path, _TYPES[type(value)]
    if isinstance(value, list):
        for entry in value:
            yield from _types(entry, f"{path}[]")
    elif isinstance(value, dict):
        for name, entry in value.items():
            yield from _types(entry, f"{path}.{name}")
