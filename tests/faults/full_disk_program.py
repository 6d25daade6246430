"""Runs in a mount namespace of its own: the program on a small disk without room for a search, a report, an export.

Prints a JSON object: for each attempt its exit code and the last line of its errors, and what lay on the disk after it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.run.family import Family, write_family
from tests.search.test_kill import records

SIZE = 160_000_000  # an export wants some room beside what it writes


def program(*words: object) -> tuple[int, str]:
    """Runs the program; its exit code and the last line that it wrote to stderr."""
    command = [sys.executable, "-m", "evomerge", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    return done.returncode, (done.stderr.strip().splitlines() or [""])[-1]


def contents(folder: Path) -> dict[str, bytes]:
    """Path to content of all files."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def leave(ballast: Path, room: int) -> None:
    """Leaves so many bytes free, but for what is taken meanwhile."""
    ballast.unlink(missing_ok=True)
    free = os.statvfs(ballast.parent)
    left = free.f_bavail * free.f_frsize - room
    if left > 0:
        ballast.write_bytes(bytes(left))


def main(place: Path) -> dict[str, Any]:
    """All attempts."""
    family: Family = write_family(place / "family")
    more = {"method": "ties", "evaluations": 8, "progress": "none"}
    assert program(*["search", *family.words(place / "whole", **more)])[0] == 0
    disk = place / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(disk)], check=True)
    run, ballast = disk / "run", disk / "ballast"
    searches = []
    for room in (0, 65_536, 131_072, 262_144, 393_216, SIZE):
        leave(ballast, room)
        searches.append(program("search", *family.words(run, **more)))
        searches[-1] += ([path.name for path in run.rglob("*.tmp")],)
        if searches[-1][0] == 0:
            break
    same = records(run) == records(place / "whole")
    before = contents(run)
    leave(ballast, 0)
    report = program("report", f"run={run}")
    unharmed = contents(run) == before
    export = program("export", f"run={run}", "member=knee", f"out={disk / 'out'}")
    left = sorted(path.name for path in disk.iterdir())
    leave(ballast, SIZE)
    again = [program("report", f"run={run}"), program("export", f"run={run}", "member=knee", f"out={disk / 'out'}")]
    return {
        "searches": searches, "same": same, "report": report, "unharmed": unharmed, "export": export, "left": left,
        "again": [code for code, _ in again],
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
