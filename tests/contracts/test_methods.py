"""Every merge method of the folder keeps the contract."""

from __future__ import annotations

import pytest

from evomerge import methods
from evomerge.contracts.method import MethodContract


class TestEveryMethod(MethodContract):
    """Each of them in turn."""

    @pytest.fixture(autouse=True, params=methods.names())
    def every_method(self, request: pytest.FixtureRequest) -> None:
        self.method = methods.load(request.param)
