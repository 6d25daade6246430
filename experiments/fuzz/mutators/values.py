"""Changes that any JSON or text file may suffer: of a value somewhere in it, of its text, of the file as a whole."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

Step = str | int
DEEP = 100_000  # levels of nesting, more than any reader's stack holds

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 3, 10**9, 2**31, 2**63, 2**64, 10**30, 10**400, 0.5, -0.0, 1e308, float("nan"),
    float("inf"), float("-inf"), "", " ", "x", "x" * 20_000, "\0", "a\nb", "\ud800", "ünïcødé \U0001f600",
    "../secret",
    "../../etc/passwd", "/etc/passwd", "secret/model.safetensors", "</script><script>alert(1)</script>", "None",
    "nan",
    "1", "{{ 7*7 }}", "${oc.env:HOME}", "%s%n", [], {}, [None], [[]], [1, 2], ["x"], {"x": 1}, {"": None},
    [[[[[[[[]]]]]]]], {"a": {"b": {"c": {"d": {}}}}}, list(range(300)),
)  # fmt: skip


def walk(value: Any, path: tuple[Step, ...] = ()) -> Iterator[tuple[Step, ...]]:
    """Paths to all values inside a value, itself left out."""
    entries: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield (*path, key)
        yield from walk(inner, (*path, key))


def get(value: Any, path: Sequence[Step]) -> Any:
    """The value at a path."""
    for step in path:
        value = value[step]
    return value


def change(rng: Random, data: Any, prefer: Sequence[str] = ()) -> str:
    """Changes one value of a tree in place.

    Args:
        rng: Chooses.
        data: A list or dict.
        prefer: Keys one of which is chosen half of the time, where they are there.

    Returns:
        What was done, in words.
    """
    paths = list(walk(data))
    if not paths:
        return "nothing, it is empty"
    liked = [path for path in paths if path[-1] in prefer]
    # Large files have thousands of vocabulary entries and few fields: any depth is as likely as another.
    depth = rng.choice(sorted({len(path) for path in paths}))
    path = rng.choice(liked if liked and rng.random() < 0.5 else [p for p in paths if len(p) == depth])
    parent, key = get(data, path[:-1]), path[-1]
    where = ".".join(map(str, path))[:80]
    kind = rng.choice(("odd", "odd", "odd", "type", "type", "remove", "rename", "scale", "deep"))
    before = parent[key]
    if kind == "remove":
        del parent[key]
        return f"{where} removed"
    if kind == "rename" and isinstance(parent, dict):
        new = rng.choice((str(key) + "_", str(key).upper(), "", "\0", "x" * 5000, "../" + str(key), str(key)[:-1]))
        parent[new] = parent.pop(key)
        return f"{where} renamed to {new[:40]!r}"
    if kind == "scale" and isinstance(before, int | float) and not isinstance(before, bool):
        parent[key] = rng.choice(
            (-before, before + 1, before - 1, before * 10**6, before * 10**12, before / 3, 2 * before)
        )
    elif kind == "deep":
        parent[key] = nested(rng.choice((50, 400, 900)), before)
    elif kind == "type":
        parent[key] = rng.choice((str(before), [before], {"x": before}, [before, before], {str(before)[:50]: before}))
    else:
        parent[key] = rng.choice(ODD)
    return f"{where} set to {_short(parent[key])}"


def nested(depth: int, inside: Any) -> Any:
    """A value inside so many lists."""
    for _ in range(depth):
        inside = [inside]
    return inside


def write(path: Path, data: Any) -> None:
    """Writes JSON, with what Python writes beyond the standard: NaN, infinity, lone surrogates."""
    path.write_bytes(json.dumps(data, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def change_json(rng: Random, path: Path, prefer: Sequence[str] = ()) -> str:
    """Changes values of a JSON file."""
    data = json.loads(path.read_text(encoding="utf-8"))
    done = [change(rng, data, prefer) for _ in range(rng.choice((1, 1, 1, 2)))]
    write(path, data)
    return "; ".join(done)


def change_object(rng: Random, path: Path, fields: Mapping[str, tuple[Any, ...]], prefer: Sequence[str] = ()) -> str:
    """Changes the file of a JSON object: a field, any value, its text, or the file as a whole.

    Args:
        rng: Chooses.
        path: The file.
        fields: Fields that mean something, with odd values for each.
        prefer: Keys, see :func:`change`.
    """
    kind = rng.choice(("field", "field", "field", "tree", "tree", "text", "file"))
    if kind == "text":
        return change_text(rng, path)
    if kind == "file":
        return change_file(rng, path)
    if kind == "tree":
        return change_json(rng, path, prefer)
    data = json.loads(path.read_text(encoding="utf-8"))
    name = rng.choice(sorted(fields))
    data[name] = rng.choice(fields[name])
    write(path, data)
    return f"{name} is {ascii(data[name])[:60]}"


def change_text(rng: Random, path: Path) -> str:
    """Damages the bytes of a text file."""
    name = rng.choice(sorted(_TEXTS))
    path.write_bytes(_TEXTS[name](rng, path.read_bytes()))
    return name


def change_file(rng: Random, path: Path) -> str:
    """Puts something else in the place of a file: a folder, a pipe, a device, a link, a file without an end."""
    name = rng.choice(sorted(_FILES))
    content = path.read_bytes()
    path.unlink()
    _FILES[name](path, content)
    return name


def _flipped(rng: Random, text: bytes) -> bytes:
    changed = bytearray(text)
    for _ in range(rng.choice((1, 1, 3, 20))):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _inserted(rng: Random, text: bytes) -> bytes:
    at = rng.randrange(len(text))
    return text[:at] + rng.choice((b"\0", b"\xff", b"{", b"]", b",", b'"', b"\\", b"\n", b"nan", b"1e999")) + text[at:]


def _repeated_key(rng: Random, text: bytes) -> bytes:
    """Says one key of the outermost object twice."""
    try:
        data = json.loads(text)
    except ValueError:
        return text + text
    if not isinstance(data, dict) or not data:
        return text + text
    key = rng.choice(sorted(data))
    again = rng.choice((data[key], None, 1, [], "x"))
    return text.rstrip()[:-1] + f", {json.dumps(key)}: {json.dumps(again)}}}".encode()


def _number(text: bytes) -> bytes:
    """A number of more digits than Python reads."""
    return b'{"a": ' + b"9" * 100_000 + b", " + text.lstrip()[1:]


_TEXTS: dict[str, Callable[[Random, bytes], bytes]] = {
    "truncated": lambda rng, text: text[: rng.randrange(len(text))],
    "bytes flipped": _flipped,
    "byte inserted": _inserted,
    "key repeated": _repeated_key,
    "long number": lambda _, text: _number(text),
    "empty": lambda *_: b"",
    "blank": lambda *_: b" \n\t ",
    "null": lambda *_: b"null",
    "list": lambda *_: b"[]",
    "text": lambda *_: b'"x"',
    "number": lambda *_: b"17",
    "empty object": lambda *_: b"{}",
    "byte order mark": lambda _, text: b"\xef\xbb\xbf" + text,
    "UTF-16": lambda _, text: text.decode("utf-8", "replace").encode("utf-16"),
    "Latin-1": lambda _, text: text + "ä".encode("latin-1"),
    "deep lists": lambda *_: b"[" * DEEP,
    "deep objects": lambda *_: b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "comment": lambda _, text: b"// a comment\n" + text,
    "trailing comma": lambda _, text: text.rstrip()[:-1] + b",}",
    "twice": lambda _, text: text + text,
    "LFS pointer": lambda *_: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "HTML": lambda *_: b"<!doctype html><html><body>404</body></html>",
}


def _endless(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    os.truncate(path, 1 << 40)  # a hole, which takes no room


_FILES: dict[str, Callable[[Path, bytes], object]] = {
    "missing": lambda *_: None,
    "a folder": lambda path, _: path.mkdir(),
    "a pipe": lambda path, _: os.mkfifo(path),
    "a link to an endless device": lambda path, _: path.symlink_to("/dev/zero"),
    "a link to nothing": lambda path, _: path.symlink_to("nowhere"),
    "a link to itself": lambda path, _: path.symlink_to(path.name),
    "a link out of the folder": lambda path, _: path.symlink_to(f"../secret/{path.name}"),
    "a link to /etc/passwd": lambda path, _: path.symlink_to("/etc/passwd"),
    "a terabyte of nothing": _endless,
}


def _short(value: Any) -> str:
    text = ascii(value) if not isinstance(value, int) or abs(value) < 10**40 else "a number of many digits"
    return text if len(text) < 60 else f"{text[:57]}..."
