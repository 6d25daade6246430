"""How many states that a power cut may leave of a run's folder are gone on with to the undisturbed records.

A search of the tests (formulas for models, all kinds of candidates) runs under strace. At random moments of the trace
the power is cut: see `power_cut`. Each state is written into a folder, and the same search goes on there.

    python -m experiments.faults.storage [--states 60] [--searches nsga2,cmaes] [--out results/faults]
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.faults.power_cut import Call, Disk, calls, materialise, strace
from tests.search.killing import process
from tests.search.test_kill import records

EVALUATIONS = 26
SEARCHES = ("nsga2", "cmaes", "nsga2+rotating", "nsga2+estimated")
_PROGRAM = f"""
import os, sys
from pathlib import Path
from tests.search.killing import Blow, run_search
words = Path(sys.argv[1]), sys.argv[2], {EVALUATIONS}
child = os.fork()
if not child:
    run_search(*words, Blow("record:search", 9, 0.5))
os.waitpid(child, 0)
run_search(*words, None)
"""


@dataclass
class Traced:
    """A search of two sessions, the first of which was killed, and what it did to its folder.

    Attributes:
        name: Its name, see `tests.search.killing`.
        root: Its folder.
        calls: All calls that did not fail.
        moments: Places in them after which something under the folder is another.
        wanted: Its records.
    """

    name: str
    root: Path
    calls: Sequence[Call]
    moments: Sequence[int]
    wanted: list[dict[str, Any]]

    @classmethod
    def of(cls, name: str, folder: Path) -> Traced:
        """Runs a search under strace.

        Args:
            name: Its name.
            folder: An empty folder.

        Raises:
            AssertionError: If what the trace says lies in the folder is not what lies there.
        """
        root, trace = folder / "run", folder / "trace"
        subprocess.run([*strace(trace), sys.executable, "-c", _PROGRAM, str(root), name], check=True)
        found, disk = list(calls(trace)), Disk(str(root))
        moments = [place for place, call in enumerate(found) if disk.apply(call)]
        trace.unlink()
        there = {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        assert disk.seen() == there, "the trace does not tell all"
        return cls(name, root, found, moments, records(root))

    def state(self, moment: int, journalled: bool, draw: random.Random) -> dict[str, bytes]:
        """A state that a power cut at a moment may leave."""
        disk = Disk(str(self.root), journalled)
        for call in self.calls[: moment + 1]:
            disk.apply(call)
        return disk.after_a_cut(draw)


@dataclass
class Tried:
    """What came of the states of a search.

    Attributes:
        states: How many were tried.
        different: How many of them were different.
        zeros: How many had a log with zeros in it.
        torn: How many had a log whose last line had no end.
        wrong: Those that were not gone on with, or to other records: number and what was wrong.
    """

    states: int = 0
    different: int = 0
    zeros: int = 0
    torn: int = 0
    wrong: list[str] = field(default_factory=list)


def tried(traced: Traced, journalled: bool, count: int, seed: int, folder: Path) -> Tried:
    """Cuts the power, and goes on, so many times."""
    draw, found, seen = random.Random(f"{traced.name} {journalled} {seed}"), Tried(), Counter[Any]()
    for number in range(count):
        state = traced.state(draw.choice(traced.moments), journalled, draw)
        logs = [data for path, data in state.items() if path.endswith(".jsonl")]
        found.zeros += any(b"\0" in data for data in logs)
        found.torn += any(data and not data.endswith(b"\n") for data in logs)
        seen[tuple(sorted(state.items()))] += 1
        materialise(state, str(traced.root), folder)
        code = process(folder, traced.name, EVALUATIONS)
        if code != 0 or records(folder) != traced.wanted:
            found.wrong.append(f"state {number}: " + (f"exit code {code}" if code else "other records"))
    found.states, found.different = count, len(seen)
    return found


def study(searches: Sequence[str], count: int, seed: int = 0) -> dict[str, dict[str, Tried]]:
    """Search to model of the file system to what came of its states."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as place:
        found: dict[str, dict[str, Tried]] = {}
        for name in searches:
            own = Path(place) / name
            own.mkdir()
            traced = Traced.of(name, own)
            found[name] = {
                model: tried(traced, model == "journalled", count, seed, own / "state")
                for model in ("posix", "journalled")
            }
        return found


def page(found: dict[str, dict[str, Tried]]) -> str:
    """The results as Markdown."""
    rows = [
        f"| {name} | {model} | {one.states} | {one.different} | {one.torn} | {one.zeros} | {len(one.wrong)} |"
        for name, models in found.items()
        for model, one in models.items()
    ]
    total = sum(one.states for models in found.values() for one in models.values())
    wrong = sum(len(one.wrong) for models in found.values() for one in models.values())
    return "\n".join(
        [
            "# Power cuts",
            "",
            f"{total} states that a power cut may leave of a run's folder; {wrong} of them were not gone on with to",
            "the records of an undisturbed search. Each is drawn at a random moment of a search of two sessions (the",
            "first was killed), from the system calls that strace saw: what was waited for is there; of the rest",
            "anything may be there, whole, in part, as zeros in whole pages, or not at all. *posix*: names of files",
            "are safe only when their folder was waited for, each folder for itself. *journalled*: waiting for any",
            "file makes all earlier names safe (ext4, XFS, Btrfs).",
            "",
            "| search | names of files | states | different | with a torn line | with zeros | wrong |",
            "|---|---|---|---|---|---|---|",
            *rows,
            "",
            "Made by `python -m experiments.faults.storage`.",
            "",
        ]
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--states", type=int, default=60)
    parser.add_argument("--searches", default=",".join(SEARCHES))
    parser.add_argument("--out", type=Path, default=Path("results/faults"))
    given = parser.parse_args()
    begin = time.monotonic()
    found = study(given.searches.split(","), given.states)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "storage.md").write_text(page(found))
    data = {name: {model: vars(one) for model, one in models.items()} for name, models in found.items()}
    (given.out / "storage.json").write_text(json.dumps(data, indent=1) + "\n")
    print(page(found), f"{time.monotonic() - begin:.0f} seconds")


if __name__ == "__main__":
    main()
