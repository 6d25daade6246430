"""Other items in every batch, so that no search fits the few it was asked, and all of the pool is used alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from evomerge.analysis.allocation.sampling import simple
from evomerge.options import Option
from evomerge.search.allocation.history import TaskAnswers
from evomerge.search.allocation.policies._shared.spec import PolicySpec
from evomerge.search.allocation.window import Choice


def choose(answers: TaskAnswers, size: int, options: Mapping[str, Any], random: np.random.Generator) -> Choice:
    """A part of the last window, and of the other items those that were asked least often, ties broken by chance.

    Nothing looks at the answers, so all items are alike: each is chosen with the probability size / pool.
    """
    last = answers.last
    carried = min(round(options["carried"] * size), int(last.sum()))
    kept = simple(random, np.flatnonzero(last), carried)
    others = np.setdiff1d(random.permutation(answers.pool), kept, assume_unique=True)
    order = np.lexsort((random.random(len(others)), answers.used[others], last[others]))
    rows = random.permutation(np.concatenate([kept, others[order[: size - carried]]]))
    return Choice(rows, np.full(answers.pool, size / answers.pool))


POLICY = PolicySpec(
    name="rotating",
    title="other items in every batch, those first that were asked least often",
    choose=choose,
    options={"carried": Option(0.0, None, float, "share of the last batch's items that are asked again", 0.0, 0.9)},
)
