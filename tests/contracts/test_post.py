"""Every step of the folder keeps the contract."""

from __future__ import annotations

import pytest

from evomerge import post
from evomerge.contracts.post import PostContract


class TestEveryStep(PostContract):
    """Each of them in turn."""

    @pytest.fixture(autouse=True, params=post.names())
    def every_step(self, request: pytest.FixtureRequest) -> None:
        self.step = post.load(request.param)
