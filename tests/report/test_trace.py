"""Progress equals a plain recount over the records."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evomerge.report.results import Results
from evomerge.report.trace import trace
from evomerge.store import RunStore


def area(points: list[tuple[float, float]], reference: tuple[float, float]) -> float:
    """Area that points dominate above a reference, by a grid of their coordinates; both objectives maximised."""
    xs = sorted({reference[0], *(max(p[0], reference[0]) for p in points)})
    ys = sorted({reference[1], *(max(p[1], reference[1]) for p in points)})
    total = 0.0
    for left, right in itertools.pairwise(xs):
        for low, high in itertools.pairwise(ys):
            if any(p[0] >= right and p[1] >= high for p in points):
                total += (right - left) * (high - low)
    return total


def test_best_so_far_and_hypervolume(run_of: Callable[[str], Path]) -> None:
    folder = run_of("two")
    rows = [json.loads(line) for line in (folder / "evaluations.jsonl").read_text(encoding="utf-8").splitlines()]
    search = [r for r in rows if r["split"] == "search"]
    labels = ("reverse_b.acc", "sort_b.acc")
    baselines = [tuple(r["metrics"][k] for k in labels) for r in search if r["name"]]
    scores = [None if r["error"] else tuple(r["metrics"][k] for k in labels) for r in search if not r["name"]]
    found = trace(Results(RunStore.read(folder)))

    reference = tuple(np.min(baselines, axis=0))
    assert found.reference == pytest.approx(reference)
    assert found.baselines == pytest.approx(area(baselines, reference))
    assert list(found.scores) == [None if s is None else pytest.approx(s) for s in scores]
    assert sum(s is None for s in found.scores) == 3
    for column in range(2):
        steps = dict(found.best[column])
        best = -np.inf
        for count, score in enumerate(scores, start=1):
            if score is not None and score[column] > best:
                best = score[column]
                assert steps.pop(count) == pytest.approx(best)
        assert not steps
    for count, volume in found.hypervolume[:: max(1, len(found.hypervolume) // 5)]:
        assert volume == pytest.approx(area([s for s in scores[:count] if s is not None], reference))
    assert [v for _, v in found.hypervolume] == sorted(v for _, v in found.hypervolume)


def test_a_single_objective_has_no_hypervolume(run_of: Callable[[str], Path]) -> None:
    found = trace(Results(RunStore.read(run_of("single"))))
    assert found.hypervolume == ()
    assert found.best[0][-1][1] == max(s[0] for s in found.scores if s is not None)


def test_infeasible_candidates_do_not_count(run_of: Callable[[str], Path]) -> None:
    found = trace(Results(RunStore.read(run_of("constrained"))))
    assert not any(found.feasible)
    assert found.best == ((), ())
    assert found.hypervolume == ()
    assert any(s is not None for s in found.scores)
