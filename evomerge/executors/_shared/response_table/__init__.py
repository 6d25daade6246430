"""Response tables: what recorded candidates answered, item by item.

There are two forms. A file of JSON lines (format 1, `json_lines`) holds a few hundred answers of each candidate. A
folder of Parquet files (format 2, `parquet`) holds thousands, with items and candidates described, in parts that
version control takes. `read` reads either as candidates, `read_table` as arrays; `parquet.write` and `json_lines.write`
write them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from evomerge.executors._shared.response_table import json_lines
from evomerge.executors._shared.response_table.table import Recorded, RecordedItem, ResponseTable

__all__ = ["Recorded", "RecordedItem", "ResponseTable", "digest", "read", "read_table", "write"]

write = json_lines.write


def read(path: Path) -> list[Recorded]:
    """The candidates of a table of either form.

    Raises:
        InputError: If it cannot be read, or is no table; it names the file, and of JSON lines the line.
    """
    return list(read_table(path).candidates) if path.is_dir() else json_lines.read(path)


def read_table(path: Path) -> ResponseTable:
    """A table of either form as arrays.

    Raises:
        InputError: As `read`.
    """
    if not path.is_dir():
        return ResponseTable.of(json_lines.read(path))
    from evomerge.executors._shared.response_table import parquet  # brings pyarrow, which most commands do without

    return parquet.read(path)


def digest(path: Path) -> str:
    """SHA-256 of a table's content: of the file, or of the names and the contents of a folder's Parquet files."""
    if not path.is_dir():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    files = sorted(path.glob("*.parquet"))
    lines = [f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n" for file in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
