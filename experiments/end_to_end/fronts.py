"""Searches for two objectives: the front that is claimed, and the true scores of the same models."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import evomerge
from evomerge.analysis import Interval
from evomerge.analysis.pareto import hypervolume
from evomerge.recipe import Recipe
from evomerge.search.promotion.shortlist import choose
from experiments.end_to_end.material import EXAMS, Material
from experiments.end_to_end.ours import POOL, besides, values
from experiments.end_to_end.ways import Way
from experiments.spaces.landscape import Array

FINALISTS, PROMOTED = 4, 8
LABELS = tuple(f"{exam}.acc" for exam in EXAMS)


def search(material: Material, way: Way, run: int, folder: Path) -> dict[str, Any]:
    """One search by NSGA-II, and the truth about the front that it claims.

    Where the peers' practice is asked for, all is spent on the search, and its front by search scores is claimed.
    """
    observed = way.items is not None
    settings = values(material.family(run), way, run, folder) | {
        "objectives": list(LABELS),
        "items_per_task": way.items if observed else POOL,
        "promote.candidates": 0 if observed else PROMOTED,
        "confirm.finalists": 0 if observed else FINALISTS,
        **({"confirm.scales": []} if observed else {}),
        "budgets.items": way.budget - (0 if observed else besides(PROMOTED, FINALISTS, 0)),
    }
    started = time.perf_counter()
    found = evomerge.search(**settings)
    seconds = time.perf_counter() - started
    members = found.front if observed else [member for member in found.front if member.test_scores]
    scores = [member.search_scores if observed else member.test_scores for member in members]
    claimed = np.array([[row[label].mean for label in LABELS] for row in scores])
    kept = choose(-claimed, FINALISTS)
    true = np.array([material.truth(run, Recipe.from_json(members[row].recipe)) for row in kept])
    records = [record for record in found.evaluations() if not (observed and record.name)]
    return {
        **judged(claimed[kept], true),
        "held": _held([scores[row] for row in kept], true),
        "items": len({(record.digest, response.key) for record in records for response in found.responses(record)}),
        "candidates": len({record.digest for record in records if record.split == "search" and not record.name}),
        "seconds": round(seconds, 2),
    }


def judged(claimed: Array, true: Array) -> dict[str, float]:
    """A front as it is claimed and as it is.

    Args:
        claimed: Claimed scores of its members, ``(n, 2)``.
        true: Their true scores.

    Returns:
        Hypervolumes from the origin, and the worse exam of the member that by its claim is best at both at once.
    """
    best = int(np.argmax(claimed.min(axis=1)))
    return {
        "claimed": hypervolume(-claimed, np.zeros(2)),
        "true": hypervolume(-true, np.zeros(2)),
        "claimed at once": float(claimed[best].min()),
        "true at once": float(true[best].min()),
    }


def _held(scores: Sequence[Mapping[str, Interval]], true: Array) -> list[bool]:
    ends = [[(row[label].low, row[label].high) for label in LABELS] for row in scores]
    return [
        low <= value <= high
        for pairs, exams in zip(ends, true.tolist(), strict=True)
        for (low, high), value in zip(pairs, exams, strict=True)
    ]
