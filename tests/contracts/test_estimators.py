"""Every estimator of the folder keeps the contract."""

from __future__ import annotations

import pytest

from evomerge.analysis import estimators
from evomerge.contracts.estimator import EstimatorContract


class TestEveryEstimator(EstimatorContract):
    """Each of them in turn."""

    @pytest.fixture(autouse=True, params=estimators.names())
    def every_estimator(self, request: pytest.FixtureRequest) -> None:
        self.spec = estimators.load(request.param)
        self.usual = {"dimensions": 1} if "dimensions" in self.spec.options else {}  # choosing them takes three fits
