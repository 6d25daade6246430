"""The executor ``ray`` keeps the contract of executors, that of those with processes on this machine included."""

from __future__ import annotations

from typing import Any

import pytest

from evomerge import executors
from evomerge.contracts.executor import ExecutorContract, OwnWorkersContract, ProcessContract, WorkerContract
from evomerge.contracts.executor_deaths import DeathContract


class TestRay(ExecutorContract, WorkerContract, OwnWorkersContract, ProcessContract, DeathContract):
    """On a cluster that is there already, with two workers. Programs of their own join it by its address."""

    @pytest.fixture(autouse=True)
    def executor(self, cluster: Any) -> None:
        self.spec = executors.load("ray")
        self.options = {"workers": 2, "address": cluster.address}
