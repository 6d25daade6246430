"""Candidates that are not finite, run out of memory, hang, crash or raise: the search goes on and says what failed."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from evomerge import executors, report
from evomerge.cli.main import main
from evomerge.search import run
from evomerge.store import RunStore
from experiments.overhead.analytic import OBJECTIVES, plan
from tests.faults.moods import Moody, way_of

KINDS = {"nan": "nonfinite", "raise": "error", "memory": "oom", "abort": "error", "hang": "timeout"}


def searched(folder: Path, candidates: int) -> RunStore:
    manifest = {"objectives": [objective.to_json() for objective in OBJECTIVES]}
    executor = executors.make("processes", Moody, workers=2, timeout=1.0)
    with RunStore.open(folder, manifest, {}) as store:
        try:
            run(plan("random", candidates, 3), executor, store)
        finally:
            executor.close()
    return RunStore.read(folder)


def test_thirty_in_a_hundred_fail_at_random(tmp_path: Path) -> None:
    """Each in its own way, and those that do not fail have their scores."""
    store = searched(tmp_path / "run", 40)
    evaluations = [e for e in store.evaluations("search") if e.batch > 0]
    assert len(evaluations) == 40
    wanted = [KINDS.get(way_of(e.batch, e.index) or "") for e in evaluations]
    assert [e.error.kind if e.error else None for e in evaluations] == wanted
    failed = Counter(kind for kind in wanted if kind is not None)
    assert set(failed) == set(KINDS.values()), "every kind must be tried"
    report.write(tmp_path / "run")
    text = (tmp_path / "run" / "report.md").read_text().replace("\xa0", " ")
    assert f"{failed.total()} of 40 candidates failed: " in text
    for kind, words in (
        ("error", "met an error (RuntimeError: no luck)"),
        ("oom", "ran out of memory (MemoryError: no room)"),
        ("nonfinite", "had values that are not finite (a score is not finite: north.acc = nan, south.loss = nan)"),
        ("timeout", "took too long (its worker took longer than 1 s (executor.timeout) and was ended)"),
    ):
        assert f"{failed[kind]} {words}" in text
    aborted = [e.error for e in evaluations if way_of(e.batch, e.index) == "abort"]
    assert {error.message for error in aborted if error} == {
        "tried 2 times; 2 workers died at it, the last died of signal 6"
    }


@pytest.mark.faults
def test_merged_models_fail_in_every_way(tmp_path: Path) -> None:
    """Real workers of the embedded example, whose user's metric misbehaves."""
    words = [f"functions=[{Path(__file__).parent / 'moods.py'}:moody]", "executor=processes", "evaluations=32"]
    words += ["executor.timeout=5", "items_per_task=10", "test_items_per_task=10", "confirm.finalists=1"]
    assert main(["search", "experiment=example", *words, "progress=none", f"run_dir={tmp_path / 'run'}"]) == 0
    lines = (tmp_path / "run" / "evaluations.jsonl").read_text().splitlines()
    kinds = {error["kind"] for line in lines if (error := json.loads(line)["error"])}
    assert {"nonfinite", "error", "timeout"} <= kinds
    assert "candidates failed: " in (tmp_path / "run" / "report.md").read_text().replace("\xa0", " ")
