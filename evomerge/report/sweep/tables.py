"""``report.json`` of a sweep: the numbers of the page as data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from evomerge.analysis.sweeps import Importance
from evomerge.report.sweep.facts import SweepFacts
from evomerge.report.sweep.group import Group, Measure

FORMAT = 1


def sweep_json(facts: SweepFacts) -> dict[str, Any]:
    """The page's numbers, as a JSON object."""
    return {
        "format": FORMAT,
        "headline": facts.headline,
        "keys": list(facts.sweep.keys),
        "jobs": [
            {
                "name": run.job.name,
                "state": run.job.state,
                "values": {key: run.job.values.get(key) for key in facts.sweep.keys},
                "candidates": run.candidates,
                "failed": run.failed,
            }
            for run in facts.runs
        ],
        "not_finished": {run.job.name: why for run, why in facts.troubled},
        "groups": [_group(group) for group in facts.groups],
    }


def _group(group: Group) -> dict[str, Any]:
    reference = group.reference.get(group.split)
    return {
        "objectives": [o.to_json() for o in group.objectives],
        "split": group.split,
        "reference": None if reference is None or not group.several else (group.signs * reference).tolist(),
        "runs": {
            run.job.name: {m.label: _finite(m.values[row]) for m in group.measures}
            for row, run in enumerate(group.runs)
        },
        "settings": {name: _measured(group.measures, rows) for name, rows in group.settings.items()},
        "best": group.best,
        "difference_to_best": {
            name: None if found is None else found.to_json() for name, found in group.behind.items()
        },
        "by_key": {
            key: {level: _measured(group.measures, group.rows(key, level)) for level in levels}
            for key, levels in group.levels.items()
        },
        "importance": {label: _importance(found, group) for label, found in group.importance.items()},
        "notes": group.notes,
    }


def _measured(measures: Sequence[Measure], rows: Sequence[int]) -> dict[str, Any]:
    found = {measure.label: measure.of(rows) for measure in measures}
    return {
        label: {"n": s.n, "mean": _finite(s.mean), "sd": _finite(s.sd), "best": _finite(s.best)}
        for label, s in found.items()
    }


def _importance(found: Importance | None, group: Group) -> dict[str, Any] | None:
    if found is None:
        return None
    keys = list(group.levels)
    return {
        "effects": [
            {
                "keys": [keys[column] for column in effect.columns],
                "degrees": effect.degrees,
                "share": _finite(effect.share),
                "p": _finite(effect.p),
            }
            for effect in found.effects
        ],
        "rest": found.rest,
        "rest_degrees": found.degrees,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
