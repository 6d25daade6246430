"""Runs in a mount namespace of its own: a search on a small disk that is full, and full again, until it has room.

Prints a JSON object: how often there was no room, the errors, what was left over of files that are written in one step,
and whether the records are those of a search with room from the start.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.search.killing import run_search
from tests.search.test_kill import records


def main(place: Path, name: str) -> None:
    """Fills the disk with ballast, and takes a little of it away after each failure."""
    disk = place / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", str(disk)], check=True)
    run_search(place / "whole", name, 26, None)
    wanted = records(place / "whole")
    ballast, errors, drafts = disk / "ballast", list[str](), list[str]()
    ballast.write_bytes(bytes(1_000_000))
    room = 24_576
    while True:
        with ballast.open("r+b") as file:
            file.truncate(max(1_024_000 - room, 0))
        try:
            run_search(disk / "run", name, 26, None)
            break
        except OSError as error:
            errors.append(f"{type(error).__name__} {error.errno} {error.filename}: {error.strerror}")
        drafts += [str(path) for path in (disk / "run").rglob("*.tmp")]
        room += 12_288
        if room > 1_024_000:
            break
    same = records(disk / "run") == wanted
    print(json.dumps({"errors": errors, "drafts": drafts, "same": same}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
