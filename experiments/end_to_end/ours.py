"""A search as users run it, from Python: promoted on the selection split, confirmed once on the test split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import evomerge
from evomerge.recipe import Recipe
from experiments.end_to_end.ways import Way
from experiments.spaces.families import Family

POOL = 100  # items of each exam to search on, and as many to select on
CONFIRMED = 150  # items of each exam that the returned model's claim rests on
PROMOTED = 5  # candidates that are compared on the selection items
BASELINES, SCALES, RECOMMENDED = 4, 4, 1  # base, experts, average; scales of task arithmetic; the mean of CMA-ES


def besides(promoted: int, finalists: int, recommended: int) -> int:
    """Items that are asked besides the search itself, at most, in both exams.

    Args:
        promoted: Candidates that are compared on the selection split.
        finalists: Candidates that are confirmed on the test split.
        recommended: Models that the searcher recommends, which are promoted too.
    """
    searched = BASELINES + SCALES + recommended
    selected = BASELINES + 1 + promoted + recommended  # with the best of the scales
    confirmed = BASELINES + 1 + finalists
    return 2 * (POOL * (searched + selected) + CONFIRMED * confirmed)


def values(family: Family, way: Way, seed: int, folder: Path) -> dict[str, Any]:
    """The keys of a search, as the command line has them."""
    return {
        "models": list(family.experts),
        "base": family.base,
        "method": "task_arithmetic",
        "tasks": list(family.tasks),
        "task_path": [family.task_path],
        "objectives": [" + ".join(f"0.5*{task}.acc" for task in family.tasks)],
        "items_per_task": POOL,
        "test_items_per_task": CONFIRMED,
        "evaluations": None,
        "budgets.items": way.budget - besides(PROMOTED, 1, RECOMMENDED),
        "promote.candidates": PROMOTED,
        "confirm.finalists": 1,
        "model": {"dtype": "float32", "threads": 1},
        "seed": seed,
        "run_dir": folder,
        **way.settings,
    }


def search(family: Family, way: Way, seed: int, folder: Path) -> tuple[Recipe, dict[str, Any]]:
    """Searches.

    Returns:
        The returned model, and what a record keeps of the search: the claim and its interval, and what was asked.
    """
    run = evomerge.search(**values(family, way, seed, folder))
    (member,) = [member for member in run.front if member.test_scores]
    (claim,) = member.test_scores.values()
    records = run.evaluations()
    return Recipe.from_json(member.recipe), {
        "claimed": claim.mean,
        "low": claim.low,
        "high": claim.high,
        "items": len({(record.digest, response.key) for record in records for response in run.responses(record)}),
        "candidates": len({record.digest for record in records if record.split == "search" and record.name is None}),
    }
