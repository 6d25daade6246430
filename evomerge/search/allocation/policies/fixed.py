"""The same items for the whole run: the whole pool, or one random part of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from evomerge.analysis.allocation.sampling import simple
from evomerge.search.allocation.history import TaskAnswers
from evomerge.search.allocation.policies._shared.spec import PolicySpec
from evomerge.search.allocation.window import Choice


def choose(answers: TaskAnswers, size: int, options: Mapping[str, Any], random: np.random.Generator) -> Choice:
    """A simple random part, the same in every batch, as the random numbers are."""
    rows = simple(random, np.arange(answers.pool), size)
    return Choice(rows, np.full(answers.pool, size / answers.pool))


POLICY = PolicySpec(
    name="fixed",
    title="the same items in every batch, drawn once",
    choose=choose,
    chooses=False,
    every_batch=False,
)
