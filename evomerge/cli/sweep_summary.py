"""The state of each job of a sweep, and the table that ends it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from evomerge.config.sweep import Job
from evomerge.errors import InputError
from evomerge.evaluation import Constraint, Evaluation, Objective
from evomerge.genome import AUTO
from evomerge.run.attach import begun_config
from evomerge.run.paths import expanded
from evomerge.run.run_config import RunConfig
from evomerge.search import Criteria
from evomerge.store import RunStore, baselines, candidates
from evomerge.store.sweep import FINISHED, INTERRUPTED, NOT_STARTED, read_job

DONE, FAILED = 0, 1
Metrics = Mapping[str, float]


def finished(config: RunConfig) -> bool:
    """Whether a run's folder holds this very configuration, finished."""
    folder = expanded(config.run_dir or "")
    try:
        status = json.loads((folder / "status.json").read_text(encoding="utf-8"))
        return bool(status.get("finished")) and _same(begun_config(folder), config)
    except (OSError, ValueError, InputError):
        return False


def _same(begun: RunConfig, config: RunConfig) -> bool:
    """Whether a run has this configuration; one whose layout is left open keeps the layout that it began with."""
    if config.genome.depth == AUTO:
        config = replace(config, genome=replace(config.genome, depth=begun.genome.depth))
    return begun.to_json() == config.to_json()


def summarise(folder: Path, jobs: Sequence[Job], *, interrupted: bool) -> int:
    """Prints one line per job, and writes them as ``summary.md`` into the sweep's folder.

    Args:
        folder: The sweep's folder.
        jobs: All its jobs.
        interrupted: Whether the sweep was.

    Returns:
        The exit code of the sweep.
    """
    rows = [_row(folder, job) for job in jobs]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = ["| " + " | ".join(map(_plain, columns)) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(_plain(row.get(name, "")) for name in columns) + " |" for row in rows]
    table = "\n".join(lines)
    (folder / "summary.md").write_text(table + "\n", encoding="utf-8")
    print(f"\n{table}\n\n{folder / 'summary.md'}", flush=True)
    if interrupted:
        return INTERRUPTED
    return DONE if all(row["state"] == FINISHED for row in rows) else FAILED


def _plain(text: str) -> str:
    """A cell on one line, without what would end it or begin HTML."""
    return re.sub(r"([`<>|])", r"\\\1", " ".join(text.split()))


def _row(folder: Path, job: Job) -> dict[str, str]:
    row = {"job": job.name, "state": _state(folder, job)}
    try:
        store = RunStore.read(folder / job.name)
    except InputError:
        return row
    searched = candidates(store)
    row["evaluations"] = str(sum(not record.recommended for record in searched))
    objectives = [Objective.from_json(data) for data in store.manifest.get("objectives", [])]
    feasible = _feasible(store, objectives, searched)
    for objective in objectives:
        best = (max if objective.higher_is_better else min)(map(objective.value, feasible), default=None)
        row[f"best {objective.label} (search)"] = "" if best is None else f"{best:.4g}"
    return row


def _feasible(store: RunStore, objectives: Sequence[Objective], searched: Sequence[Evaluation]) -> list[Metrics]:
    """The metrics of the candidates that were scored and meet the constraints."""
    constraints = [Constraint.from_json(data) for data in store.manifest.get("constraints", [])]
    try:
        criteria = Criteria(objectives, constraints, baselines(store, "search"))
    except InputError:  # the job ended before the baselines that constraints are relative to were scored
        return []
    return [record.metrics for record in searched if criteria.feasible(record)]


def _state(folder: Path, job: Job) -> str:
    if finished(job.config):
        return FINISHED
    # A run that is finished with other settings, such as a smaller budget, is not this job's.
    found = read_job(folder, job.name, job.words)
    return " ".join(filter(None, (found.ended or NOT_STARTED, found.reason)))
