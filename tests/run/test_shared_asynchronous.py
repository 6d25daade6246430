"""An asynchronous run that workers share: its order is on disk, and outlives its driver and its workers."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evomerge.contracts.watching import wait_for
from evomerge.store import RunStore
from tests.apart import Apart, Forked
from tests.run.family import Family, answers, records
from tests.run.shared import PATIENCE, provenance, recorded
from tests.run.test_shared import WORKER

SMALL = {"mode": "asynchronous", "evaluations": 16, "items_per_task": 6, "test_items_per_task": 6}


@contextmanager
def at_work(*started: Forked) -> Iterator[list[Forked]]:
    """Processes none of which outlives the block."""
    found = list(started)
    try:
        yield found
    finally:
        for one in found:
            one.send_signal(signal.SIGKILL)


def written(run: Path) -> list[bytes]:
    """All whole lines of its log."""
    return (run / "records" / "main.jsonl").read_bytes().splitlines(keepends=True)


@pytest.mark.slow
def test_an_order_of_asks_and_answers_outlives_a_driver_and_a_worker(
    family: Family, program: Callable[..., Forked], apart: Apart, tmp_path: Path
) -> None:
    """Two workers; the driver and one of them are killed in the middle, another driver and a third worker go on."""
    run, words = tmp_path / "run", ["search", *family.words(tmp_path / "run", executor="folder", **SMALL)]
    with at_work(program(words), *(apart.start(WORKER, str(run), name, err=True) for name in ("one", "two"))) as all_of:
        wait_for(lambda: recorded(run) >= 4 + 6 or any(one.poll() is not None for one in all_of), PATIENCE)
        driver, first = all_of[:2]
        for killed in (driver, first):
            killed.send_signal(signal.SIGKILL)
            assert killed.wait() == -signal.SIGKILL, killed.communicate()[1]
        before = [line for line in written(run) if line.endswith(b"\n")]
        all_of += [program(words), apart.start(WORKER, str(run), "three", err=True)]
        left = all_of[2:]
        wait_for(lambda: all(one.poll() is not None for one in left), PATIENCE)
        assert [one.wait() for one in left] == [0, 0, 0], [one.communicate()[1] for one in left]
    after = written(run)
    assert after[: len(before)] == before, "what was decided before the kill stands"
    assert {name.split()[0] for name in provenance(run)} <= {"one", "two", "three"}
    turns = list(RunStore.read(run).turns)
    assert sum(turn.digest is None for turn in turns) == 16
    assert family.search(run, **SMALL) == 0, "it proposes the same again, or is refused"
    assert written(run) == after
    assert list(RunStore.read(run).turns) == turns
    assert family.search(tmp_path / "alone", **SMALL) == 0
    # From the second batch on what is proposed follows from the order.
    first, ours, theirs = begun(run), answers(run), answers(tmp_path / "alone")
    assert first == begun(tmp_path / "alone")
    assert len(first) > 4, "more than the baselines"
    assert [ours[key] for key in first] == [theirs[key] for key in first]


def begun(run: Path) -> list[tuple[str, str]]:
    """The keys of the answers of baselines and of the initial population."""
    return [(one["digest"], one["split"]) for one in records(run) if one["split"] == "search" and one["batch"] < 2]
