"""The yield of such a search on fresh items: the choice from the shortlist, repeated over halves of its items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from evomerge.analysis import Interval, Stratum
from evomerge.analysis.repeated_splits import repeated_splits
from evomerge.report.results import Results

LEAST_ITEMS = 10  # or clusters of a task, below which halves of them choose nothing


def procedure(results: Results) -> dict[str, tuple[Interval, float]]:
    """Expected score, on fresh items, of the candidate that is best in one objective.

    The candidates are those that were compared on the selection items, which had no part in making or listing them.

    Args:
        results: The run.

    Returns:
        Objective label to the expected score with its interval, and by how much the best score on all selection items
        exceeds it, in natural units, above zero being better; empty where nothing was compared, or not on the same
        items, and without objectives that items do not explain.
    """
    compared = {e.digest: e for e in results.store.evaluations("selection") if e.name is None}  # each one's last
    cards = [card for card in map(results.scorecard, compared.values()) if card is not None]
    found: dict[str, tuple[Interval, float]] = {}
    if len(cards) < 2:
        return found
    for objective in results.objectives:
        strata = [card.strata[objective.label] for card in cards]
        if not _alike(strata):
            continue
        tasks = [np.stack([own[t].values for own in strata]) for t in range(len(strata[0]))]
        random = np.random.default_rng([_seed(results.store.manifest), *objective.label.encode()])
        shares = [stratum.weight for stratum in strata[0]]
        clusters = [stratum.clusters or stratum.items for stratum in strata[0]]
        estimate = repeated_splits(tasks, shares, random, clusters=clusters, higher=objective.higher_is_better)
        found[objective.label] = (estimate.interval, estimate.optimism)
    return found


def _alike(strata: list[tuple[Stratum, ...]]) -> bool:
    """Whether all were asked the same items, and enough of them to choose by."""
    asked = [[(stratum.task, stratum.items) for stratum in own] for own in strata]
    enough = all(len(set(stratum.clusters or stratum.items)) >= LEAST_ITEMS for own in strata for stratum in own)
    return bool(asked[0]) and enough and all(own == asked[0] for own in asked)


def _seed(manifest: Mapping[str, Any]) -> int:
    seeds = manifest.get("seeds")
    root = seeds.get("root") if isinstance(seeds, Mapping) else None
    return int(root) if isinstance(root, int) and root >= 0 else 0
