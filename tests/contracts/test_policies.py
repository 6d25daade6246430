"""Every policy of the folder keeps the contract."""

from __future__ import annotations

import pytest

from evomerge.contracts.policy import PolicyContract
from evomerge.search.allocation import policies


class TestEveryPolicy(PolicyContract):
    """Each of them in turn."""

    @pytest.fixture(autouse=True, params=policies.names())
    def policy(self, request: pytest.FixtureRequest) -> None:
        self.spec = policies.load(request.param)
