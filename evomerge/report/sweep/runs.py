"""One run of a sweep, down to what runs are compared by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis.course import best_so_far
from evomerge.analysis.pareto import non_dominated
from evomerge.errors import InputError
from evomerge.evaluation import Evaluation, Objective
from evomerge.report.results import Results
from evomerge.store import RunStore, SweepJob

SPLITS = ("test", "search")  # the splits whose scores runs are compared by, the better one first
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SweepRun:
    """One job's run.

    Attributes:
        job: The job.
        objectives: What was searched for; empty where nothing was recorded.
        fronts: Split to objective values of the front there, less being better, ``(points, objectives)``: on test
            items the confirmed members, on search items the feasible candidates that none dominates.
        chosen: Split to one score per objective, less being better: on test items that of the member which is best by
            the scores that finalists were chosen by, on search items the best one.
        baselines: Split to name to the scores of a baseline, less being better.
        candidates: How many were asked for.
        failed: How many of these failed.
        course: For a single objective, ``(candidates, best search score so far)``, less being better.
        items: What identifies the items of each split.
        problem: Why the run cannot be read; empty where it can.
        reported: Whether it has a report of its own.
    """

    job: SweepJob
    objectives: tuple[Objective, ...] = ()
    fronts: Mapping[str, Array] = field(default_factory=dict)
    chosen: Mapping[str, Array] = field(default_factory=dict)
    baselines: Mapping[str, Mapping[str, Array]] = field(default_factory=dict)
    candidates: int = 0
    failed: int = 0
    course: Array = field(default_factory=lambda: np.empty((0, 2)))
    items: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    reported: bool = False


def read_run(folder: Path, job: SweepJob, units: dict[tuple[Objective, ...], dict[str, str]]) -> SweepRun:
    """A job's run; one that cannot be read holds the reason.

    Args:
        folder: The sweep's folder.
        job: The job.
        units: Objectives to label to the unit of its scores, of the runs read before; added to where this is
            the first scored one with its objectives, as that takes reading answers.
    """
    own = folder / job.name
    if not (own / "manifest.json").exists():
        return SweepRun(job)
    try:
        results = Results(RunStore.read(own))
    except InputError as error:
        return SweepRun(job, problem="; ".join(error.problems))
    searched = [e for e in results.candidates if results.scored(e) and results.feasible(e)]
    tested = [e for e in results.store.evaluations("test") if e.name is None and results.scored(e)]
    fronts, chosen = {}, {}
    if searched:
        values = results.minimised(searched)
        fronts["search"] = values[non_dominated(values)]
        chosen["search"] = values.min(axis=0)
        if results.objectives not in units:
            units[results.objectives] = {o.label: results.unit(o) for o in results.objectives}
    if tested:
        fronts["test"] = results.minimised(tested)
        if (best := _chosen(results, tested)) is not None:
            chosen["test"] = best
    return SweepRun(
        job,
        results.objectives,
        fronts,
        chosen,
        {split: _baselines(results, split) for split in SPLITS},
        len(results.candidates),
        sum(e.error is not None for e in results.candidates),
        _course(results),
        {split: str((results.store.manifest.get("items") or {}).get(split)) for split in SPLITS},
        reported=(own / "report.html").exists(),
    )


def _chosen(results: Results, tested: Sequence[Evaluation]) -> Array | None:
    """Per objective the test score of the member that is best by the scores which finalists were chosen by.

    Members without such scores are not chosen, as to choose by test scores would flatter; None where no member has any.
    """
    pairs: list[tuple[Evaluation, Evaluation]] = []
    for split in ("selection", "search"):
        found = [(results.store.lookup(e.digest, split), e) for e in tested]
        pairs = [(asked, e) for asked, e in found if asked is not None and results.scored(asked)]
        if len(pairs) == len(tested):
            break
    if not pairs:
        return None
    best = results.minimised([asked for asked, _ in pairs]).argmin(axis=0)
    values = results.minimised([e for _, e in pairs])
    return np.asarray(values[best, np.arange(len(results.objectives))], dtype=np.float64)


def _baselines(results: Results, split: str) -> dict[str, Array]:
    found = {name: results.baseline(name, split) for name in results.fixed}
    return {name: results.minimised([e])[0] for name, e in found.items() if e is not None and results.scored(e)}


def _course(results: Results) -> Array:
    if len(results.objectives) > 1:
        return np.empty((0, 2))
    rows = [
        results.minimised([e])[0] if results.scored(e) and results.feasible(e) else None for e in results.candidates
    ]
    return np.array(best_so_far(rows, 0), dtype=np.float64).reshape(-1, 2)
