"""Every executor of the folder keeps the contract, the parts of it that its declaration promises."""

from __future__ import annotations

import pytest

from evomerge import executors
from evomerge.contracts.executor import ExecutorContract, ProcessContract, WorkerContract

SPECS = [executors.load(name) for name in executors.names()]


class TestEveryExecutor(ExecutorContract):
    """Each of them in turn, with its defaults."""

    @pytest.fixture(autouse=True, params=[spec.name for spec in SPECS])
    def executor(self, request: pytest.FixtureRequest) -> None:
        self.spec = executors.load(request.param)


class TestThoseThatCallWorkers(WorkerContract):
    """Each of them in turn, with its defaults."""

    @pytest.fixture(autouse=True, params=[spec.name for spec in SPECS if spec.needs_model])
    def executor(self, request: pytest.FixtureRequest) -> None:
        self.spec = executors.load(request.param)


class TestThoseWithProcesses(ProcessContract):
    """Each of them in turn, with its defaults."""

    @pytest.fixture(autouse=True, params=[spec.name for spec in SPECS if spec.needs_model and not spec.in_process])
    def executor(self, request: pytest.FixtureRequest) -> None:
        self.spec = executors.load(request.param)
