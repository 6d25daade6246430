"""The run store keeps the contract."""

from __future__ import annotations

from evomerge.contracts.store import StoreContract
from evomerge.store import RunStore


class TestRunStore(StoreContract):
    """The store of run folders."""

    store = RunStore
