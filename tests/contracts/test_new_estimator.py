"""An estimator is one file and one test: nothing else is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.apart import Apart
from tests.contracts.copied_package import run_tests_in_a_copy

SMOOTHED = '''
"""The mean of the answers and of as many others as there are items to spare, drawn towards one half."""

from __future__ import annotations

import numpy as np

from evomerge.analysis.estimators import EstimatorSpec
from evomerge.analysis.estimators._shared.design import assembled, expanded_mean
from evomerge.options import Option


def estimate(answers, rows, options):
    """The mean, with pseudo-answers in proportion to the share of items that were not asked."""
    values = answers.values[rows]
    weight = answers.counts[rows] / (answers.counts[rows] + options["pseudo"] * (1 - answers.asked[rows].mean(axis=1)))
    value = weight * expanded_mean(answers, rows, values, "hajek") + (1 - weight) * 0.5
    return assembled(answers, rows, np.where(answers.counts[rows] > 0, value, np.nan), values)


ESTIMATOR = EstimatorSpec(
    name="smoothed",
    title="Mean drawn towards one half",
    estimate=estimate,
    options={"pseudo": Option(0.5, None, float, "number of pseudo-answers", low=0)},
    unit=True,
)
'''
TEST = """
from evomerge.analysis import estimators
from evomerge.contracts.estimator import EstimatorContract


class TestSmoothed(EstimatorContract):
    spec = estimators.load("smoothed")


def test_is_found_by_its_name():
    assert "smoothed" in estimators.names()
    assert "| `smoothed` | Mean drawn towards one half |" in estimators.table()
"""


@pytest.mark.slow
def test_a_new_estimator_keeps_the_contract(bare: Apart, tmp_path: Path) -> None:
    code, printed = run_tests_in_a_copy(bare, tmp_path, {"analysis/estimators/smoothed.py": SMOOTHED}, TEST)
    assert code == 0, printed[-3000:]
