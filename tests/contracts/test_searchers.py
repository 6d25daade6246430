"""Every searcher of the folder keeps the contract."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from evomerge.contracts.searcher import SearcherContract
from evomerge.search import searchers


def _each() -> Iterator[Any]:
    """All; those that fit models take a minute or two, and have a short part of it in tests/search/test_modelled.py."""
    for name in searchers.names():
        yield pytest.param(name, marks=[pytest.mark.slow] if searchers.load(name).library else [])


class TestEverySearcher(SearcherContract):
    """Each of them in turn."""

    @pytest.fixture(autouse=True, params=list(_each()))
    def searcher(self, request: pytest.FixtureRequest) -> None:
        self.spec = searchers.load(request.param)
        if self.spec.library is not None:
            pytest.importorskip(self.spec.library)
