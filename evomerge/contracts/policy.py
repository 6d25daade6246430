"""The contract of policies: a pure function of answers, distinct items, honest probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evomerge.search.allocation.history import TaskAnswers
from evomerge.search.allocation.policies import PolicySpec
from evomerge.search.allocation.window import Choice

__all__ = ["PolicyContract"]

POOL = 30
DRAWS = 600


class PolicyContract:
    """Promises of every policy.

    Attributes:
        spec: The policy under test.
    """

    spec: PolicySpec

    def answers(self, kind: str = "binary", windows: int = 2) -> TaskAnswers:
        """Answers of four models to every item, and of eight to a window of ten; the last ten rows are now."""
        random = np.random.default_rng(5)
        difficulty = np.linspace(-0.3, 1.3, POOL)
        chance = np.clip(random.random((12, POOL)) * 0.4 + difficulty - 0.2, 0.0, 1.0)
        values = (random.random((12, POOL)) < chance).astype(float) if kind == "binary" else chance * 9.0 - 12.0
        values = np.full_like(values, 1.0) if kind == "flat" else values
        rows = [random.permutation(POOL)[:10] for _ in range(windows)]
        for row in range(4, 12):
            asked = rows[row % windows] if windows else np.zeros(0, dtype=int)
            values[row, np.setdiff1d(np.arange(POOL), asked)] = np.nan
        return TaskAnswers(values, rows, np.arange(12) >= 2)

    def choose(self, answers: TaskAnswers, size: int, seed: int = 0, **options: object) -> Choice:
        """A choice with complete options."""
        return self.spec.choose(answers, size, self.spec.complete(options), np.random.default_rng(seed))

    def test_declaration_is_whole(self) -> None:
        """Defaults are accepted and explained, ranges are refused beyond their ends."""
        assert self.spec.title
        assert self.spec.problems({}) == []
        assert self.spec.problems({"no such option": 1})
        for name, option in self.spec.options.items():
            assert option.doc
            for end, step in ((option.low, -1), (option.high, 1)):
                assert end is None or self.spec.problems({name: option.kind(end + step)})

    def test_items_are_distinct_and_as_many_as_wanted(self) -> None:
        """For every size, with binary, unbounded and equal answers, and before the first window."""
        for kind in ("binary", "unbounded", "flat"):
            for windows in (0, 1, 3):
                answers = self.answers(kind, windows)
                for size in (1, 2, 3, 5, 12, POOL - 1):
                    chosen = self.choose(answers, size, seed=size)
                    assert len(set(chosen.rows.tolist())) == size
                    assert ((chosen.rows >= 0) & (chosen.rows < POOL)).all()
                    assert chosen.probabilities.shape == (size,)
                    assert ((chosen.probabilities > 0.0) & (chosen.probabilities <= 1.0)).all()

    def test_asked_the_same_it_chooses_the_same(self) -> None:
        """And what it is given stays as it was."""
        answers = self.answers()
        before = answers.values.copy()
        first, second = self.choose(answers, 8, seed=3), self.choose(answers, 8, seed=3)
        assert first.rows.tolist() == second.rows.tolist()
        assert first.probabilities.tolist() == second.probabilities.tolist()
        assert np.array_equal(before, answers.values, equal_nan=True)

    def test_probabilities_are_honest(self) -> None:
        """Counted with its weight, every item is there once in the mean; unless items are named, not drawn.

        Each draw has a past that the policy has drawn itself, as in a run.
        """
        values = self.answers(windows=0).values
        values = np.where(np.isfinite(values), values, 1.0)
        counted, largest = np.zeros(POOL), np.zeros(POOL)
        for seed in range(DRAWS):
            windows: list[NDArray[np.int_]] = []
            for batch in range(3):
                chosen = self.choose(TaskAnswers(values, windows), 9, seed=3 * seed + batch)
                windows.append(chosen.rows)
            if not chosen.mixed or (chosen.probabilities == 1.0).all():
                return
            counted[chosen.rows] += 1.0 / chosen.probabilities
            largest[chosen.rows] = np.maximum(largest[chosen.rows], 1.0 / chosen.probabilities)
        assert (largest > 0.0).all(), "every item has a chance"
        assert (np.abs(counted / DRAWS - 1.0) < 5.0 * np.sqrt(largest / DRAWS)).all()
