"""The choice from a shortlist whose items were shared out by its answers: the first rung, which all were asked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis.allocation.ocba import additions, shares
from evomerge.analysis.repeated_splits import repeated_splits

UNITS, FIRST, BUDGET = 120, 40, 80  # selection items, those of the first rung, what is asked on average
SKILLS = np.linspace(-0.3, 0.3, 6)  # of standard normal items: accuracies of 40 to 58 %
SEARCHES = 300


@dataclass(frozen=True)
class Search:
    """Answers of the shortlist to all items, and how many of them each was asked."""

    answers: NDArray[np.float64]
    counts: NDArray[np.int_]

    @property
    def means(self) -> NDArray[np.float64]:
        """Each one's mean over its own items."""
        return np.array([own[:count].mean() for own, count in zip(self.answers, self.counts, strict=True)])


def search(draw: np.random.Generator) -> Search:
    """Asks all the first items, and shares out the rest by OCBA in four rungs."""
    hard = draw.normal(size=UNITS)  # items that are hard for one are hard for all
    answers = (draw.normal(size=(len(SKILLS), UNITS)) + hard < np.sqrt(2.0) * SKILLS[:, None]).astype(float)
    counts = np.full(len(SKILLS), FIRST)
    for left in (4, 3, 2, 1):
        found = Search(answers, counts)
        spread = np.sqrt(np.maximum(found.means * (1.0 - found.means), 0.01))
        wanted = shares(-found.means[:, None], spread[:, None])
        counts = counts + additions(wanted, counts, (BUDGET * len(SKILLS) - int(counts.sum())) // left, UNITS)
    return Search(answers, counts)


def test_the_interval_of_the_first_rung_keeps_its_promise_and_its_low_end_that_of_the_run_s_choice() -> None:
    draw, truth = np.random.default_rng(5), np.array([_share(skill) for skill in SKILLS])
    searches, found, given = [], [], []
    for _ in range(SEARCHES):
        one = search(draw)
        searches.append(one)
        assert one.counts.min() >= FIRST
        found.append(repeated_splits([one.answers[:, :FIRST]], [1.0], draw).interval)
        given.append(truth[one.means.argmax()])
    # Half of the first rung chooses: that is the target, and its mean over searches is the mean of the estimates.
    target = float(np.mean([truth[_first_half_chooses(draw)] for _ in range(2000)]))
    assert abs(np.mean([one.mean for one in found]) - target) < 0.012
    assert 0.93 <= np.mean([one.low <= target <= one.high for one in found]) <= 0.985
    # The run chose by more items, so what it gives lies above, and the low end holds for it all the more.
    assert np.mean(given) > target + 0.01
    assert np.mean([one.low <= np.mean(given) for one in found]) >= 0.975
    assert np.mean([one.low <= np.mean(given) <= one.high for one in found]) >= 0.93
    # Why not each one's own items: whom chance treats badly at first is asked no more.
    first = np.mean([one.answers[:, :FIRST].mean(axis=1) - truth for one in searches])
    assert np.mean([one.means - truth for one in searches]) < first - 0.003


def _first_half_chooses(draw: np.random.Generator) -> int:
    hard = draw.normal(size=FIRST // 2)
    right = draw.normal(size=(len(SKILLS), FIRST // 2)) + hard < np.sqrt(2.0) * SKILLS[:, None]
    return int((right.mean(axis=1) + 1e-9 * draw.random(len(SKILLS))).argmax())


def _share(skill: float) -> float:
    from statistics import NormalDist

    return NormalDist().cdf(float(skill))
