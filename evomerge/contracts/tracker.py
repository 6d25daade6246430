"""The contract of trackers: what is logged can be read, once, whatever happened to the process that logged it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from evomerge.tracking import STEP, Entry, TrackedRun, Tracker, TrackerSpec

__all__ = ["TrackerContract"]

CONFIG = {"seed": 3, "models": ["A", "B"], "genome.depth": "blocks", "note": None}
_KILLED = """
import os, signal, sys
from pathlib import Path
from evomerge import tracking
from evomerge.contracts.tracker import entries, tracked

name, folder, whole, options = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), eval(sys.argv[4])
tracker = tracking.load(name).make(tracked(folder), tracking.load(name).complete(options))
for entry in entries(tracker.last() + 1, whole):
    tracker.log([entry])
os.kill(os.getpid(), signal.SIGKILL)
"""


class TrackerContract:
    """Promises of a tracker; an author inherits it and says how readers of the tracker read it back.

    Attributes:
        spec: The tracker under test.
        options: Options to test it with, beside the defaults.
    """

    spec: TrackerSpec
    options: Mapping[str, Any] = {}

    def curves(self, run: TrackedRun) -> Mapping[str, list[tuple[int, float]]]:
        """Name to every (step, value) that a reader finds, twice where it finds it twice, in the order of steps."""
        raise NotImplementedError

    def concluded(self, run: TrackedRun) -> Mapping[str, list[float]]:
        """Name to every value of the conclusion that a reader finds for it."""
        return {name: [value for _, value in points] for name, points in self.curves(run).items()}

    def opened(self, run: TrackedRun) -> Tracker:
        """The tracker in a new session."""
        return self.spec.make(run, self.spec.complete(self.options))

    def test_entries_come_back(self, tmp_path: Path) -> None:
        """Each step once, whether entries come one by one or together; none is there before."""
        run = tracked(tmp_path)
        tracker = self.opened(run)
        assert tracker.last() == -1
        first, *others = entries(0, 5)
        tracker.log([first])
        tracker.log(others)
        tracker.close()
        self.assert_whole(run, 5)

    def test_a_later_session_goes_on(self, tmp_path: Path) -> None:
        """It knows where the earlier one ended, and what that one said stays."""
        run = tracked(tmp_path)
        for start, end in ((0, 3), (3, 4), (4, 7)):
            tracker = self.opened(run)
            assert tracker.last() == start - 1
            tracker.log(list(entries(start, end)))
            tracker.close()
        self.assert_whole(run, 7)

    def test_a_killed_session_is_completed(self, tmp_path: Path) -> None:
        """Whatever a SIGKILL lost is not held, so it is offered again; whatever is held was not lost."""
        run = tracked(tmp_path)
        for end in (4, 9):
            words = [self.spec.name, str(tmp_path), str(end), repr(dict(self.options))]
            assert subprocess.run([sys.executable, "-c", _KILLED, *words]).returncode == -9
        tracker = self.opened(run)
        assert -1 <= tracker.last() <= 8
        tracker.log(list(entries(tracker.last() + 1, 12)))
        tracker.close()
        self.assert_whole(run, 12)

    def test_a_conclusion_that_is_said_again_changes_nothing(self, tmp_path: Path) -> None:
        """Sessions that find nothing to do say the same as the one before."""
        run = tracked(tmp_path)
        report = tmp_path / "report.md"
        report.write_text("# A report\n", encoding="utf-8")
        values = {"test/knee/t1.acc": 0.5, "test/knee/t1.acc/low": 0.25, "test/knee/t1.acc/high": 0.75}
        for start in (0, 3, 3):
            tracker = self.opened(run)
            tracker.log(list(entries(start, 3)))
            tracker.conclude(2, values, [report])
            tracker.close()
        found = self.concluded(run)
        assert {name: found[name] for name in values} == {name: [value] for name, value in values.items()}
        self.assert_whole(run, 3)

    def test_labels_are_the_users_words(self, tmp_path: Path) -> None:
        """None is refused, and none is taken for another."""
        run = tracked(tmp_path)
        labels = ("0.7*t1.acc + 0.3*t2.acc", "0.7*t1.acc - 0.3*t2.acc", "t1.exact_match,strict-match", "größe", "a//b")
        tracker = self.opened(run)
        tracker.log([Entry(0, {**{f"best/{label}": 0.5 for label in labels}, STEP: 0.0}, 1.0)])
        tracker.close()
        found = [name for name in self.curves(run) if name.startswith("best/")]
        assert len(found) == len(labels)

    def assert_whole(self, run: TrackedRun, end: int) -> None:
        """Whether readers find every step once."""
        found = self.curves(run)
        wanted = [entry.values for entry in entries(0, end)]
        for name in wanted[0]:
            assert found[name] == [(step, values[name]) for step, values in enumerate(wanted)], name


def tracked(folder: Path) -> TrackedRun:
    """A run whose trackers write into a folder."""
    own = folder / "own"
    own.mkdir(exist_ok=True)
    return TrackedRun("0123456789abcdef", "a run", own, CONFIG)


def entries(start: int, end: int) -> Iterable[Entry]:
    """Entries of some steps, the same whoever makes them."""
    for step in range(start, end):
        values = {"best/t1.acc": 0.25 + step / 64, "seconds/merge": 0.5, "failures": 0.0, STEP: float(step)}
        yield Entry(step, values, 1_700_000_000.0 + step)
