"""The low-rank model with genomes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evomerge.analysis.estimators import Answers, estimate
from evomerge.analysis.estimators._shared import latent
from evomerge.analysis.estimators._shared.features import features
from evomerge.contracts.estimator import COMPLETE, ITEMS, ROWS, landscape, landscape_and_scores


def test_genomes_tell_of_rows_without_answers() -> None:
    """Without any answers a row's score is predicted from its genome, far better than by the others' mean."""
    errors, plain = [], []
    for seed in range(8):
        answers, scores = landscape_and_scores(seed, complete=ROWS)
        values = answers.values.copy()
        values[-4:] = np.nan
        found = estimate("low_rank", replace(answers, values=values), range(ROWS - 4, ROWS))
        errors += list(found.value - scores[-4:])
        plain += list(scores[:-4].mean() - scores[-4:])
    assert np.mean(np.square(errors)) < 0.5 * np.mean(np.square(plain))


def test_loadings_find_what_abilities_follow_from() -> None:
    """Abilities are three times the first gene less three times the second, and nothing of the third."""
    found = np.zeros(6)
    for seed in range(5):
        answers = landscape(seed, complete=ROWS)
        phi = features(answers.genomes)  # type: ignore[arg-type]
        found += latent.fit(answers.values, 1, phi).loadings[:, 0]
    first, second, third = found[:3] + found[3:]
    assert first > 3 * abs(third)
    assert second < -3 * abs(third)


def test_answers_of_any_size_are_taken() -> None:
    """Multiplied and moved, they give estimates multiplied and moved."""
    draws = np.random.default_rng(0)
    values = landscape(1).values + 0.3 * draws.normal(size=(ROWS, ITEMS))
    table = replace(landscape(1), values=values)
    moved = replace(table, values=7.0 * values - 40.0)
    plain, large = (estimate("low_rank", answers) for answers in (table, moved))
    assert large.value == pytest.approx(7.0 * plain.value - 40.0, abs=1e-9)
    assert large.se == pytest.approx(7.0 * plain.se, abs=1e-9)
    assert large.difference(12, 13).se == pytest.approx(7.0 * plain.difference(12, 13).se, abs=1e-9)


def test_a_wrong_genome_costs_no_bias() -> None:
    """With the genomes of other rows the errors are those of the plain mean, or little more."""
    errors, plain = [], []
    for seed in range(12):
        answers, scores = landscape_and_scores(seed)
        genomes = answers.genomes[::-1]  # type: ignore[index]
        rows = range(COMPLETE, ROWS)
        errors += list(estimate("low_rank", replace(answers, genomes=genomes), rows).value - scores[COMPLETE:])
        plain += list(estimate("mean", answers, rows).value - scores[COMPLETE:])
    assert np.std(errors) < 1.15 * np.std(plain)
    assert abs(np.mean(errors) - np.mean(plain)) < 0.05


def test_no_complete_row_gives_the_mean() -> None:
    """Where all rows were asked the same items, nothing is known of the others."""
    values = landscape(3).values[COMPLETE:]
    found = estimate("low_rank", Answers(values))
    assert found.value == pytest.approx(np.nanmean(values, axis=1), abs=0.1)
