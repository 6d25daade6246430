"""The items whose mean ranks candidates as the mean of all items does, after LEVI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from evomerge.analysis.allocation.item_choice import rank_preserving
from evomerge.search.allocation.history import TaskAnswers
from evomerge.search.allocation.policies._shared.spec import PolicySpec
from evomerge.search.allocation.window import Choice


def choose(answers: TaskAnswers, size: int, options: Mapping[str, Any], random: np.random.Generator) -> Choice:
    """The greedy subset, from the candidates that have answered every item: baselines and the first batch.

    The order is that of the choice, so the first items of a window are themselves the best small subset. Named items
    have no probability: scores are those of this subset, the same for all.
    """
    return Choice.named(rank_preserving(answers.whole, size), answers.pool)


POLICY = PolicySpec(
    name="rank_preserving",
    title="a subset that ranks the first candidates as all items do (LEVI, Tanveer 2026, arXiv 2605.09764)",
    choose=choose,
    every_batch=False,
    probe=True,
)
