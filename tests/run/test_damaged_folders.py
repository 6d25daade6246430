"""Whatever is damaged in a checkpoint folder, a check accepts it or names it; no internal error shows."""

from __future__ import annotations

import json
import random
import shutil
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evomerge.cli.main import main
from tests.run.family import Family

ODD: tuple[Any, ...] = (None, "x", "", -1, 0, 3, 1e99, 0.5, [], {}, True, False, [1], {"a": 1}, "auto", 10**30)
FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json", "model.safetensors")
WHOLE = (b"", b"null", b"[]", b"{}", b'"x"', b"[" * 100_000, b"version https://git-lfs.github.com/spec/v1\noid\n")
CASES = 20


def fields(data: Any) -> list[tuple[Any, Any]]:
    """Every place in a JSON value: the container and the key or position."""
    keys = list(data) if isinstance(data, dict) else list(range(len(data)))
    inner = [place for key in keys if isinstance(data[key], dict | list) for place in fields(data[key])]
    return [(data, key) for key in keys] + inner


def damaged_value(text: bytes, draw: random.Random) -> bytes:
    """JSON text in which one value is gone or another one."""
    data = json.loads(text)
    container, key = draw.choice(fields(data))
    if draw.random() < 0.3:
        del container[key]
    else:
        container[key] = draw.choice(ODD)
    return json.dumps(data).encode()


def damaged_bytes(data: bytes, draw: random.Random) -> bytes:
    """A file that was cut, grew, got other bytes at its beginning, or holds something else."""
    kind = draw.randrange(4)
    if kind == 0:
        return data[: draw.randrange(len(data))]
    if kind == 1:
        return data + bytes(draw.randrange(1, 20))
    if kind == 2:
        return draw.choice(WHOLE)
    changed = bytearray(data)
    changed[draw.randrange(min(len(data), 2000))] = draw.choice(b'09,:"[]{}FBU -.\xff')
    return bytes(changed)


def damage(path: Path, draw: random.Random) -> None:
    """Damages one file; the headers of weights are JSON, too."""
    data = path.read_bytes()
    if draw.random() < 0.4:
        path.write_bytes(damaged_bytes(data, draw))
    elif path.suffix == ".json":
        path.write_bytes(damaged_value(data, draw))
    else:
        end = 8 + struct.unpack("<Q", data[:8])[0]
        header = damaged_value(data[8:end], draw)
        path.write_bytes(struct.pack("<Q", len(header)) + header + data[end:])


def test_a_check_names_the_folder_or_accepts_it(
    family: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes: Counter[int] = Counter()
    for seed in range(CASES):
        draw = random.Random(seed)
        copy = Path(shutil.copytree(family.folder, tmp_path / "family", dirs_exist_ok=True))
        file = copy / draw.choice(("base", "one")) / draw.choice(FILES)
        damage(file, draw)
        codes[code := main(["check", "--headers", *Family(copy).words(tmp_path / "run")])] += 1
        said = capsys.readouterr().err
        assert code in (0, 2), (seed, file, said)
        problems = [line for line in said.splitlines() if line.startswith("  - ")]
        # Where the base is damaged, the experts may be the ones that are said to differ from it.
        assert all(str(file.parent if file.parent.name == "one" else copy) in line for line in problems), (seed, said)
        assert bool(problems) == (code == 2), (seed, file, said)
    assert min(codes.values()) > CASES // 10
