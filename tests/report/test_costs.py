"""The report says how long the searcher's proposals took, by the log of events, where that is worth a word."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from evomerge import executors
from evomerge.report.costs import costs, proposing
from evomerge.report.results import Results
from evomerge.search import SearchPlan, run
from evomerge.store import RunStore
from tests.building import edit_json
from tests.search.analytic import SOUTH, Analytic, plan


def search(folder: Path, work: SearchPlan, **identity: str) -> None:
    """A session of a search."""
    with RunStore.open(folder, {"objectives": [SOUTH.to_json()]}, identity) as store:
        run(work, executors.make("local", lambda: Analytic()), store)


def retimed(folder: Path, wall: float) -> RunStore:
    """A run whose events are a second apart, and that took so long altogether."""
    events = folder / "events.jsonl"
    start, lines = datetime(2026, 1, 1, tzinfo=UTC), events.read_text().splitlines()
    times = [(start + timedelta(seconds=second)).isoformat() for second in range(len(lines))]
    written = [json.dumps({**json.loads(line), "time": time}) for line, time in zip(lines, times, strict=True)]
    events.write_text("\n".join(["", *written, '{"event":"asked","ti']))
    edit_json(folder / "status.json", seconds=wall)
    return RunStore.read(folder)


def total(store: RunStore) -> str:
    found: str = costs(Results(store))["total"].replace("\N{NO-BREAK SPACE}", " ")
    return found


def test_proposals_take_the_time_between_batches(tmp_path: Path) -> None:
    search(tmp_path, plan("ga", evaluations=40))
    store = retimed(tmp_path, 50.0)
    assert proposing(store) == 4.0, "before each of the batches 2 to 5, and neither before the first nor at the end"
    assert total(store).startswith("50 s from start to end, ")
    assert total(store).endswith("neither merging nor scoring. The searcher's proposals took 4.00 s, 8 %.")
    edit_json(tmp_path / "status.json", seconds=500.0)
    assert "proposals" not in total(store), "below 1 %"


def test_a_pause_between_two_sessions_is_no_proposal(tmp_path: Path) -> None:
    search(tmp_path, plan("ga", evaluations=16))
    search(tmp_path, plan("ga", evaluations=32))
    assert proposing(retimed(tmp_path, 50.0)) == 2.0


@pytest.mark.parametrize("log", ["none", "asynchronous"])
def test_without_pauses_or_a_log_nothing_is_said_of_proposals(log: str, tmp_path: Path) -> None:
    steady = log == "asynchronous"
    work = replace(plan("ga", evaluations=24), steady=8 if steady else None)
    search(tmp_path, work, **({"mode": log} if steady else {}))
    store = retimed(tmp_path, 50.0)
    if log == "none":
        (tmp_path / "events.jsonl").unlink()
    assert "proposals" not in total(store)
