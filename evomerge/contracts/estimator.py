"""The contract of estimators: functions of a table, exact where nothing is missing, unsure where something is."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from evomerge.analysis.estimators import Answers, Array, Estimates, EstimatorSpec, estimate
from evomerge.contracts.searcher import other_values
from evomerge.contracts.watching import raised
from evomerge.errors import InputError

__all__ = ["EstimatorContract", "landscape", "landscape_and_scores"]

ROWS, ITEMS, COMPLETE, ASKED = 18, 30, 8, 10


def landscape(seed: int, complete: int = COMPLETE) -> Answers:
    """The table of `landscape_and_scores` without the scores."""
    return landscape_and_scores(seed, complete)[0]


def landscape_and_scores(seed: int, complete: int = COMPLETE) -> tuple[Answers, Array]:
    """A table of the kind that searches fill: genomes decide abilities, the first rows are complete, two are experts.

    The last of the complete rows lacks every fifth item, the others are asked the same few. Strata are four.

    Args:
        seed: Decides the table.
        complete: Number of rows to learn from.

    Returns:
        The table, and the mean of each row over all items.
    """
    draws = np.random.default_rng(seed)
    genomes = draws.random((ROWS, 3))
    ability = 3.0 * (genomes[:, 0] - genomes[:, 1]) + 0.3 * draws.normal(size=ROWS)
    linear = ability[:, None] * draws.uniform(0.5, 1.5, ITEMS) - draws.normal(size=ITEMS)
    values = (draws.random((ROWS, ITEMS)) < 1.0 / (1.0 + np.exp(-linear))).astype(np.float64)
    window = np.sort(draws.choice(ITEMS, ASKED, replace=False))
    hidden = np.ones((ROWS, ITEMS), dtype=bool)
    hidden[:complete] = False
    hidden[complete - 1, ::5] = True
    hidden[complete:, window] = False
    scores = values.mean(axis=1)
    values[hidden] = np.nan
    return Answers(values, genomes=genomes, strata=np.arange(ITEMS) % 4, experts=(0, 1)), scores


class EstimatorContract:
    """Promises of every estimator.

    Attributes:
        spec: The estimator under test.
        usual: Options that it is tested with.
    """

    spec: EstimatorSpec
    usual: Mapping[str, Any] = {}

    def estimate(
        self, answers: Answers, rows: list[int] | None = None, options: Mapping[str, Any] | None = None
    ) -> Estimates:
        """Estimates by the estimator under test."""
        return estimate(self.spec.name, answers, rows, **{**self.usual, **(options or {})})

    # Declaration

    def test_declaration_is_whole(self) -> None:
        """Everything has words for people, and defaults are accepted."""
        assert self.spec.title
        for name, option in self.spec.options.items():
            assert option.doc, f"option {name} has no help"
            assert option.problem(name, option.default) is None

    def test_wrong_options_are_all_named(self) -> None:
        """One sentence for each option that is unknown or has a wrong value."""
        wrong = dict.fromkeys(self.spec.options, object()) | {"no such option": True}
        error = raised(InputError, lambda: self.estimate(landscape(0), options=wrong))
        assert len(error.problems) == len(wrong)

    def test_every_option_has_an_effect(self) -> None:
        """Another value changes an estimate; the default given by hand does not."""
        answers = replace(landscape(1), strata=None, inclusion=np.linspace(0.2, 0.9, ITEMS))
        usual = _bits(self.estimate(answers))
        for name, option in self.spec.options.items():
            assert usual == _bits(self.estimate(answers, options={name: self.usual.get(name, option.default)}))
            others = [value for value in other_values(option) if not isinstance(value, int | float) or value <= 40]
            assert not others or any(_bits(self.estimate(answers, options={name: v})) != usual for v in others), name

    def test_what_it_needs_is_asked_for(self) -> None:
        """A table without it is refused by a sentence that names the estimator."""
        bare = replace(landscape(0), genomes=None, experts=())
        if self.spec.genomes or self.spec.experts:
            assert self.spec.name in str(raised(InputError, lambda: self.estimate(bare)))
        else:
            self.estimate(bare)
        logs = replace(landscape(0), values=-1.0 - landscape(0).values)
        if self.spec.unit:
            assert self.spec.name in str(raised(InputError, lambda: self.estimate(logs)))
        else:
            assert np.isfinite(self.estimate(logs).value).all()

    # Functions of the table

    def test_it_is_a_function_of_the_table(self) -> None:
        """To the last bit, whatever global generators do, which it leaves alone, as it does the table."""
        answers = landscape(2)
        copy = answers.values.copy()
        first = _bits(self.estimate(answers))
        np.random.seed(3)  # noqa: NPY002
        before = (str(np.random.get_state()), random.getstate())  # noqa: NPY002
        assert _bits(self.estimate(landscape(2))) == first
        assert (str(np.random.get_state()), random.getstate()) == before  # noqa: NPY002
        assert np.array_equal(answers.values, copy, equal_nan=True)

    def test_a_row_has_one_estimate(self) -> None:
        """Whichever others are asked for, and in which order."""
        answers = landscape(3)
        whole, some = self.estimate(answers), self.estimate(answers, [12, 0, 9])
        assert np.allclose(some.value, whole.value[[12, 0, 9]], rtol=0, atol=1e-12)
        assert np.allclose(some.se, whole.se[[12, 0, 9]], rtol=0, atol=1e-12)
        assert np.allclose(some.covariance(), whole.covariance()[np.ix_([12, 0, 9], [12, 0, 9])], rtol=0, atol=1e-12)

    # Values

    def test_complete_rows_are_certain(self) -> None:
        """Their estimate is their mean, without error."""
        if not self.spec.exact:
            return
        for clusters in (None, np.arange(ITEMS) // 3):
            answers = replace(landscape(4), clusters=clusters)
            found = self.estimate(answers, list(range(COMPLETE - 1)))
            assert np.allclose(found.value, answers.values[: COMPLETE - 1].mean(axis=1), rtol=0, atol=1e-9)
            assert np.allclose(found.se, 0.0, rtol=0, atol=1e-9)

    def test_rows_without_answers_are_unknown(self) -> None:
        """NaN and an infinite error, or a finite prediction if it is declared to make one."""
        values = landscape(5).values.copy()
        values[-1] = np.nan
        found = self.estimate(replace(landscape(5), values=values), [ROWS - 1, ROWS - 2])
        assert np.isfinite(found.value[1])
        assert np.isfinite(found.se[1])
        if self.spec.predicts:
            assert np.isfinite(found.value[0])
            assert 0.0 < found.se[0] < 1.0
        else:
            assert np.isnan(found.value[0])
            assert np.isinf(found.se[0])

    def test_few_rows_are_enough(self) -> None:
        """One row that answered some items, and nothing to learn from: its mean, or an unknown value."""
        values = landscape(6).values[[0, 1, -1]]
        values[:2, 0] = np.nan
        values[:2, 7:] = np.nan
        small = replace(landscape(6), values=values, genomes=landscape(6).genomes[:3])  # type: ignore[index]
        found = self.estimate(small, [2])
        unknown = np.isnan(found.value[0]) and np.isinf(found.se[0])
        mean = float(np.nanmean(values[2]))
        assert unknown or abs(found.value[0] - mean) < 0.25

    def test_unanimous_rows_are_not_certain(self) -> None:
        """All right or all wrong on a part of the items: a finite estimate near that end, with an error."""
        for answer in (0.0, 1.0):
            values = landscape(7).values.copy()
            values[-1, ~np.isnan(values[-1])] = answer
            found = self.estimate(replace(landscape(7), values=values), [ROWS - 1])
            assert -0.05 <= found.value[0] <= 1.05
            assert 0.0 < found.se[0] < 0.5
            interval = found.interval(0)
            assert interval.low < interval.high
            assert interval.low <= found.value[0] <= interval.high
            if self.spec.exact:
                assert abs(found.value[0] - answer) < 0.5

    def test_clusters_count_once(self) -> None:
        """Doubled items say no more than single ones: the error does not shrink as that of twice as many would."""
        single = landscape(8)
        clusters = np.arange(ITEMS)
        double = Answers(
            np.repeat(single.values, 2, axis=1),
            genomes=single.genomes,
            strata=np.repeat(np.arange(ITEMS) % 4, 2),
            clusters=np.repeat(clusters, 2),
            experts=single.experts,
        )
        rows = list(range(COMPLETE, ROWS))
        once, twice = self.estimate(single, rows), self.estimate(double, rows)
        blind = self.estimate(replace(double, clusters=None), rows)
        assert twice.se.mean() > 0.7 * once.se.mean()
        assert not self.spec.exact or twice.se.mean() > blind.se.mean()

    def test_odd_tables_are_no_accident(self) -> None:
        """All alike, one item, one answer a row, none at all: no exception, no warning, no interval turned round."""
        genomes = np.random.default_rng(0).random((6, 2))
        single = np.where(np.eye(6, 8) > 0, 1.0, np.nan)
        for values in (np.zeros((6, 5)), np.ones((6, 1)), single, np.full((6, 4), np.nan), 0.5 * single):
            with np.errstate(all="raise", under="ignore"):
                found = self.estimate(Answers(values, genomes=genomes, experts=(0, 1)))
                intervals = [found.interval(place) for place in range(6)]
                intervals += [found.difference(0, place) for place in range(6)]
            assert not any(interval.low > interval.high for interval in intervals)
            assert not np.isnan(found.se).any()

    # Pairs

    def test_differences_are_mirrored_and_use_what_is_common(self) -> None:
        """Swapping the rows swaps the sign; rows on common items differ with less error than independent ones would."""
        found = self.estimate(landscape(9), list(range(COMPLETE, ROWS)))
        ratios = []
        for first in range(4):
            there, back = found.difference(first, first + 4), found.difference(first + 4, first)
            assert there.mean == -back.mean
            assert abs(there.se - back.se) < 1e-12
            assert abs(there.low + back.high) < 1e-12
            assert there.se > 0.0
            ratios.append(there.se / np.hypot(found.se[first], found.se[first + 4]))
        assert np.mean(ratios) < 1.25
        covariance = found.covariance()
        assert np.allclose(covariance, covariance.T)
        assert np.allclose(np.diagonal(covariance), found.se**2)

    # Use

    def test_it_is_of_use_on_simulated_tables(self) -> None:
        """Its errors are of the size that it says, and not far above those of the plain mean."""
        errors, said, plain = [], [], []
        for seed in range(6):
            answers, scores = landscape_and_scores(seed)
            rows = list(range(COMPLETE, ROWS))
            found = self.estimate(answers, rows)
            errors.append(found.value - scores[rows])
            said.append(found.se)
            plain.append(np.nanmean(answers.values[rows], axis=1) - scores[rows])
        error, se = np.concatenate(errors), np.concatenate(said)
        assert (np.abs(error) <= 3.0 * se).mean() >= 0.9
        assert np.sqrt((error**2).mean()) < 1.35 * np.sqrt((np.concatenate(plain) ** 2).mean())
        assert 0.6 < np.sqrt((error**2).mean()) / np.sqrt((se**2).mean()) < 1.6


def _bits(found: Estimates) -> tuple[bytes, bytes]:
    return found.value.tobytes(), found.se.tobytes()
