"""Records of searches: JSON lines that are there as soon as a search is over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def entries(file: Path) -> list[dict[str, Any]]:
    """The whole lines of a file; one that was cut off by a kill is none."""
    found = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return found


def append(file: Path, entry: Mapping[str, Any]) -> None:
    """Adds a line, after one that was cut off too."""
    before = file.read_bytes() if file.exists() else b""
    with file.open("a", encoding="utf-8") as opened:
        opened.write(("\n" if before and not before.endswith(b"\n") else "") + json.dumps(entry) + "\n")
