"""Files of JSON lines that studies keep their figures in: a line for each thing that is done, whole after kills."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def read(file: Path) -> list[dict[str, Any]]:
    """The lines of a file, none where there is none; a line that was cut off by a kill is none."""
    found = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return found


def append(file: Path, entry: Mapping[str, Any]) -> None:
    """Writes a line, on one of its own also where the last was cut off."""
    with file.open("ab+") as opened:
        size = opened.seek(0, os.SEEK_END)
        opened.seek(max(size - 1, 0))
        cut = opened.read(1) not in (b"", b"\n")
        opened.write((("\n" if cut else "") + json.dumps(entry) + "\n").encode())
