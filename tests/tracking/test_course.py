"""The course of a search: one entry per evaluation, the same in every session, whatever order outcomes come in."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evomerge.analysis.course import best_so_far, hypervolume_so_far
from evomerge.search import AllocationSettings, SearchPlan
from evomerge.search.events import Event, Scored
from evomerge.store import RunStore
from evomerge.tracking import STEP, Entry, TrackedRun, Tracker, TrackerSpec, Tracking
from evomerge.tracking._shared.course import Course
from tests.search.analytic import NORTH, SOUTH, Analytic, more_items, plan
from tests.search.sessions import memory, search

WORK = replace(plan("nsga2", evaluations=20), finalists=2)
ALLOCATED = replace(
    WORK, items=more_items(24), allocation=AllocationSettings("informative", items=18, race="halving", rungs=2)
)
WORKER = Analytic(broken=0.2)


@dataclass
class Kept:
    """A tracker that keeps entries in a list, which outlives sessions; it may fail, or hang."""

    entries: list[Entry] = field(default_factory=list)
    conclusions: list[Mapping[str, float]] = field(default_factory=list)
    fails_at: int | None = None
    hangs: threading.Event | None = None

    def last(self) -> int:
        return self.entries[-1].step if self.entries else -1

    def log(self, entries: Sequence[Entry]) -> None:
        if self.hangs is not None:
            self.hangs.wait(60)
        for entry in entries:
            if entry.step == self.fails_at:
                raise OSError(28, "No space left on device")
            self.entries.append(entry)

    def conclude(self, step: int, values: Mapping[str, float], files: Sequence[Path]) -> None:
        self.conclusions.append({**values, "step": step, "files": len(files)})

    def close(self) -> None:
        pass

    @property
    def values(self) -> list[Mapping[str, float]]:
        """Without seconds, which no two sessions share."""
        return [{k: v for k, v in e.values.items() if not k.startswith("seconds/")} for e in self.entries]


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in memory, as a search waits for the disk at every record."""
    with memory(tmp_path_factory.mktemp("course")) as folder:
        yield folder


def follow(tracker: Tracker, folder: Path, warn: Callable[[str], None] = pytest.fail) -> Tracking:
    spec = TrackerSpec("kept", "a list", lambda run, options: tracker)
    return Tracking(TrackedRun("id", "run", folder, {}), [(spec, {})], (NORTH, SOUTH), warn)


def followed(tracker: Tracker, folder: Path, work: SearchPlan = WORK, **options: Any) -> None:
    with follow(tracker, folder / "tracking", options.pop("warn", pytest.fail)) as tracking:
        search(folder / "run", work, WORKER, listeners=[tracking], **options)


def test_entries_say_what_the_records_say(tmp_path: Path) -> None:
    kept = Kept()
    followed(kept, tmp_path)
    store = RunStore.read(tmp_path / "run")
    baselines, rows = ([e for e in store.evaluations("search") if (e.batch == 0) is first] for first in (True, False))
    first, *entries = kept.entries
    assert first.values == {
        **{f"baseline/{e.name}/{o.label}": o.value(e.metrics) for e in baselines for o in (NORTH, SOUTH)},
        STEP: 0.0,
    }
    assert [entry.step for entry in entries] == [entry.values[STEP] for entry in entries] == list(range(1, 21))
    assert [entry.values["batch"] for entry in entries] == [row.batch for row in rows]
    assert [entry.values["failures"] for entry in entries] == np.cumsum(
        [row.error is not None for row in rows]
    ).tolist()
    assert [entry.values["items"] for entry in entries] == [10 * step for step in range(1, 21)]
    for entry, row in zip(entries, rows, strict=True):
        scores = {} if row.error else {f"candidate/{o.label}": o.value(row.metrics) for o in (NORTH, SOUTH)}
        assert {k: v for k, v in entry.values.items() if k.startswith("candidate/")} == scores
    # The best and the volume by another way: both objectives minimised, the worst of the baselines as the corner.
    points = [None if r.error else np.array([-r.metrics["north.acc"], r.metrics["south.loss"]]) for r in rows]
    corner = np.array([[-e.metrics["north.acc"], e.metrics["south.loss"]] for e in baselines]).max(axis=0)
    for name, sign, steps in (
        ("best/north.acc", -1.0, best_so_far(points, 0)),
        ("best/south.loss", 1.0, best_so_far(points, 1)),
        ("hypervolume", 1.0, hypervolume_so_far(points, corner)),
    ):
        values = [entry.values.get(name) for entry in entries]
        wanted = [max(((c, v) for c, v in steps if c <= step), default=(0, None))[1] for step in range(1, 21)]
        found = [None if w is None else pytest.approx(sign * w) for w in wanted]
        assert values == found, name


@pytest.mark.parametrize(
    "work", [WORK, ALLOCATED, replace(WORK, steady=8)], ids=["all items", "some items", "asynchronous"]
)
def test_interrupted_sessions_tell_what_an_undisturbed_one_tells(work: SearchPlan, tmp_path: Path) -> None:
    """Replays are told to trackers that hold everything, a part, or nothing; each gets what it lacks."""
    whole, torn = Kept(), Kept()
    followed(whole, tmp_path / "whole", work)
    draw = random.Random(0)
    for _ in range(6):
        calls, end = iter(range(10**6)), draw.randrange(1, 9)
        stop = lambda calls=calls, end=end: "now" if next(calls) >= end else "none"  # noqa: E731
        with contextlib.suppress(KeyboardInterrupt):  # between two batches it is an end as others
            followed(torn, tmp_path / "torn", work, stop=stop)
        del torn.entries[max(len(torn.entries) - draw.randrange(4), 0) :]  # a crash between the record and the tracker
    assert len(torn.entries) < len(whole.entries), "it was interrupted"
    followed(torn, tmp_path / "torn", work)
    assert torn.values == whole.values
    late = Kept()
    followed(late, tmp_path / "torn", work)
    assert late.values == whole.values, "a tracker that was chosen after the search"


def test_a_larger_budget_goes_on_with_the_steps(tmp_path: Path) -> None:
    whole, often = Kept(), Kept()
    followed(whole, tmp_path / "whole")
    for evaluations in (3, 13, 20):
        budgets = replace(WORK.budgets, evaluations=evaluations)
        followed(often, tmp_path / "often", replace(WORK, budgets=budgets))
        assert often.last() == evaluations
    assert often.values == whole.values


def test_outcomes_that_overtake_each_other_change_nothing(tmp_path: Path) -> None:
    heard: list[Event] = []
    search(tmp_path, WORK, WORKER, listeners=[heard.append])
    told = course_of(heard)
    draw, mixed = random.Random(1), list[Event]()
    while heard:
        length = 1
        if isinstance(heard[0], Scored):
            while length < len(heard) and isinstance(heard[length], Scored):
                length += 1
        part, heard = heard[:length], heard[length:]
        draw.shuffle(part)
        mixed += part
    assert [e.order for e in evaluations(mixed)] != sorted(e.order for e in evaluations(mixed))
    assert course_of(mixed) == told


def test_what_follows_a_gap_waits(tmp_path: Path) -> None:
    """Those that were asked before an evaluation come before it, in this session or in the next one."""
    heard: list[Event] = []
    search(tmp_path, WORK, WORKER, listeners=[heard.append])
    gap = next(e for e in heard if isinstance(e, Scored) and (e.evaluation.batch, e.evaluation.index) == (2, 3))
    before = sum(e.batch == 1 or (e.batch == 2 and e.index < 3) for e in evaluations(heard) if e.ask.split == "search")
    kept = course_of([event for event in heard if event is not gap])
    assert len(kept) == 1 + before


def evaluations(events: Sequence[Event]) -> list[Any]:
    return [event.evaluation for event in events if isinstance(event, Scored)]


def course_of(events: Sequence[Event]) -> list[Mapping[str, float]]:
    entries: list[Entry] = []
    course = Course((NORTH, SOUTH), entries.append)
    for event in events:
        course(event)
    return [entry.values for entry in entries]


def test_a_tracker_that_fails_is_a_warning_once_and_goes_on_in_the_next_session(tmp_path: Path) -> None:
    whole, failing, warnings = Kept(), Kept(fails_at=7), list[str]()
    followed(whole, tmp_path / "whole")
    followed(failing, tmp_path / "torn", warn=warnings.append)
    assert len(warnings) == 1
    assert "kept" in warnings[0]
    assert "No space left on device" in warnings[0]
    assert failing.last() == 6
    records = [(tmp_path / name / "run" / "evaluations.jsonl").read_bytes() for name in ("whole", "torn")]
    assert records[0] == records[1]
    failing.fails_at = None
    followed(failing, tmp_path / "torn")
    assert failing.values == whole.values


def test_a_tracker_that_cannot_be_made_is_a_warning(tmp_path: Path) -> None:
    def make(run: TrackedRun, options: Mapping[str, Any]) -> Tracker:
        raise SystemExit("the library leaves in its own way")

    warnings: list[str] = []
    spec = TrackerSpec("broken", "none", make)
    with Tracking(TrackedRun("id", "run", tmp_path, {}), [(spec, {})], (NORTH, SOUTH), warnings.append) as tracking:
        result, _ = search(tmp_path / "run", WORK, WORKER, listeners=[tracking])
    assert result.reason == "evaluations"
    assert len(warnings) == 1


def test_a_tracker_that_hangs_does_not_hold_the_search_up(tmp_path: Path) -> None:
    hanging, warnings = Kept(hangs=threading.Event()), list[str]()
    tracking = follow(hanging, tmp_path, warnings.append)
    result, _ = search(tmp_path / "run", WORK, WORKER, listeners=[tracking])
    tracking.close(patience=0.2)
    assert result.reason == "evaluations"
    assert ["not waited for" in text for text in warnings] == [True]
    assert hanging.hangs is not None
    hanging.hangs.set()
