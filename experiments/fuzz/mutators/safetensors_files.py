"""Changes of safetensors files: the header's length, its JSON, what it says of each tensor, and the data behind it."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from experiments.fuzz.mutators import values

Header = dict[str, Any]
_DTYPES = (
    "F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL", "F8_E4M3", "F8_E5M2",
    "F4", "F6_E2M3", "F8_E8M0", "C64", "f32", "float32", "", "F128", 32, None, ["F32"], {"F32": 1}, True,
)  # fmt: skip
_NUMBERS = (
    -1,
    0,
    1,
    2**31,
    2**32,
    2**62,
    2**63 - 1,
    2**63,
    2**64,
    10**30,
    1.5,
    1e30,
    float("nan"),
    "1",
    None,
    [],
    True,
)
_NAMES = (
    "", "\0", "a\0b", "../../x", "/etc/passwd", "x" * 200_000, "ünïcødé\U0001f600", "\ud800", "a.b", "model", " ",
    "\n",
    "__metadata__", "__proto__", "</script>", "model.layers.99999999999999999999.mlp.up_proj.weight",
    "model.layers.1000000000.mlp.up_proj.weight", "model.layers.-1.mlp.up_proj.weight", "lm_head.weight",
)  # fmt: skip


def split(path: Path) -> tuple[bytes, bytes]:
    """The header's text and the data behind it."""
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    return content[8 : 8 + length], content[8 + length :]


def join(path: Path, text: bytes, data: bytes, length: int | None = None) -> None:
    """Writes a file with that header."""
    said = len(text) if length is None else length
    path.write_bytes(struct.pack("<Q", said % 2**64) + text + data)


def mutate(rng: Random, path: Path) -> str:
    """Changes one safetensors file.

    Returns:
        What was done, in words.
    """
    kind = rng.choice(sorted((*_KINDS, *_OF_HEADERS)))
    if kind in _KINDS:
        return f"{kind}: {_KINDS[kind](rng, path)}"
    text, data = split(path)
    header = json.loads(text)
    done = _OF_HEADERS[kind](rng, header)
    join(path, json.dumps(header).encode("utf-8", "surrogatepass"), data)
    return f"{kind}: {done}"


def _length(rng: Random, path: Path) -> str:
    text, data = split(path)
    length = rng.choice(
        (0, 1, 7, len(text) - 1, len(text) + 1, len(text) + len(data), 10**8, 10**8 + 1, 2**31, 2**63, -1)
    )
    join(path, text, data, length)
    return f"says {length % 2**64} instead of {len(text)}"


def _bytes(rng: Random, path: Path) -> str:
    content = bytearray(path.read_bytes())
    end = 8 + len(split(path)[0])
    at = [rng.randrange(rng.choice((8, end))) for _ in range(rng.choice((1, 1, 2, 8)))]
    for place in at:
        content[place] = rng.randrange(256)
    path.write_bytes(content)
    return f"header bytes {at} changed"


def _size(rng: Random, path: Path) -> str:
    content = path.read_bytes()
    how = rng.choice(("cut", "cut", "longer", "empty", "7 bytes", "8 bytes", "length only"))
    kept = {
        "cut": content[: rng.randrange(len(content))],
        "longer": content + bytes(rng.choice((1, 8, 4096))),
        "empty": b"",
        "7 bytes": content[:7],
        "8 bytes": bytes(8),
        "length only": content[:8],
    }[how]
    path.write_bytes(kept)
    return f"{how}, {len(kept)} of {len(content)} bytes"


def _text(rng: Random, path: Path) -> str:
    text, data = split(path)
    beside = path.with_suffix(".text")
    beside.write_bytes(text)
    done = values.change_text(rng, beside)
    join(path, beside.read_bytes(), data)
    beside.unlink()
    return done


def _tree(rng: Random, header: Header) -> str:
    return values.change(rng, header, ("dtype", "shape", "data_offsets"))


def _dtype(rng: Random, header: Header) -> str:
    name, entry = _entry(rng, header)
    entry["dtype"] = rng.choice(_DTYPES)
    return f"{name} is {entry['dtype']!r}"


def _offsets(rng: Random, header: Header) -> str:
    name, entry = _entry(rng, header)
    first, last = entry["data_offsets"]
    other = _entry(rng, header)[1]["data_offsets"]
    entry["data_offsets"] = rng.choice(
        ([last, first], [first - 1, last - 1], [first + 1, last + 1], [0, last - first], list(other), [first], [],
         [first, last, last], [rng.choice(_NUMBERS), last], [first, rng.choice(_NUMBERS)], [first, first],
         {"0": first}, [first, last + 2**40], [first + 2**62, last + 2**62], str([first, last]))
    )  # fmt: skip
    return f"{name} lies at {str(entry['data_offsets'])[:60]}"


def _shape(rng: Random, header: Header) -> str:
    name, entry = _entry(rng, header)
    shape = entry["shape"]
    entry["shape"] = rng.choice(
        (shape[::-1], [*shape, 1], [1] * 70 + shape, shape[:-1], [], [rng.choice(_NUMBERS), *shape[1:]], [0, 2**63],
         [2**32, 2**32], [-n for n in shape], [[n] for n in shape], str(shape), None, {"0": 1},
         [float(n) for n in shape])
    )  # fmt: skip
    return f"{name} has shape {str(entry['shape'])[:60]}"


def _consistent(rng: Random, header: Header) -> str:
    """Another shape or type with the same number of bytes: right for the format, and wrong for the model or not."""
    name, entry = _entry(rng, header)
    size, shape = entry["data_offsets"][1] - entry["data_offsets"][0], entry["shape"]
    entry["dtype"], entry["shape"] = rng.choice(
        ((entry["dtype"], shape[::-1]), (entry["dtype"], [1, *shape]), ("U8", [size]), ("BOOL", [size]),
         ("I8", [size]), ("F64", [size // 8] if size % 8 == 0 else shape), ("F16", shape), ("BF16", shape),
         ("I16", shape), ("F8_E4M3", [size]), ("F32", [size // 4] if size % 4 == 0 else shape))
    )  # fmt: skip
    return f"{name} is {entry['dtype']} {entry['shape']}"


def _name(rng: Random, header: Header) -> str:
    name, entry = _entry(rng, header)
    new = rng.choice((*_NAMES, name + ".", name.upper(), name.replace(".", "/"), "prefix." + name, name[:-1]))
    del header[name]
    header[new] = entry
    return f"{name} is called {new[:40]!r}"


def _entries(rng: Random, header: Header) -> str:
    name, entry = _entry(rng, header)
    how = rng.choice(
        ("removed", "emptied", "twice", "more fields", "no object", "metadata", "all removed", "empty tensor")
    )
    if how == "removed":
        del header[name]
    elif how == "emptied":
        entry.clear()
    elif how == "twice":
        header[f"{name}.copy"] = dict(entry)
    elif how == "more fields":
        entry |= {"strides": [1], "x": values.nested(rng.choice((3, 900)), 1)}
    elif how == "no object":
        header[name] = rng.choice(values.ODD)
    elif how == "metadata":
        header["__metadata__"] = rng.choice((*values.ODD, {"format": 1}, {"format": "tf"}, {"a": "x" * 10**6}))
    elif how == "empty tensor":
        header["nothing"] = {
            "dtype": "F32",
            "shape": rng.choice(([0], [0, 2**40], [2**62, 0])),
            "data_offsets": [0, 0],
        }
    else:
        header.clear()
    return f"{name} {how}"


def _data(rng: Random, path: Path) -> str:
    """Other values, of which some are no numbers."""
    text, data = split(path)
    changed = bytearray(data)
    fill = rng.choice((b"\x00", b"\xff", b"\x7f\x80", b"\xc0\x7f", bytes([rng.randrange(256)])))
    start = rng.randrange(len(changed))
    end = min(len(changed), start + rng.choice((1, 64, len(changed))))
    changed[start:end] = (fill * (end - start))[: end - start]
    join(path, text, bytes(changed))
    return f"data from {start} to {end} is {fill.hex()}"


def _entry(rng: Random, header: Header) -> tuple[str, dict[str, Any]]:
    name = rng.choice([name for name in header if name != "__metadata__"])
    return name, header[name]


_KINDS: dict[str, Callable[[Random, Path], str]] = {
    "length": _length,
    "bytes": _bytes,
    "size": _size,
    "text": _text,
    "data": _data,
    "file": values.change_file,
}
_OF_HEADERS: dict[str, Callable[[Random, Header], str]] = {
    "tree": _tree,
    "dtype": _dtype,
    "offsets": _offsets,
    "shape": _shape,
    "same bytes": _consistent,
    "name": _name,
    "entries": _entries,
}
