"""Every searcher of the folder keeps the contract."""

from __future__ import annotations

import pytest

from evomerge.contracts.searcher import SearcherContract
from evomerge.search import searchers


class TestEverySearcher(SearcherContract):
    """Each of them in turn."""

    @pytest.fixture(autouse=True, params=searchers.names())
    def searcher(self, request: pytest.FixtureRequest) -> None:
        self.spec = searchers.load(request.param)
