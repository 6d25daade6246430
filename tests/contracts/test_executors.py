"""Every executor of the folder keeps the contract, the parts of it that its declaration promises."""

from __future__ import annotations

import pytest

from evomerge import executors
from evomerge.contracts.executor import ExecutorContract, OwnWorkersContract, ProcessContract, WorkerContract
from evomerge.contracts.executor_deaths import DeathContract
from evomerge.evaluation import Ask, Job
from evomerge.executors._shared import response_table
from evomerge.executors.recorded import example_table

# Those whose workers are started by others, or that stand on a library of their own, keep it in tests/executors.
SPECS = [spec for spec in map(executors.load, executors.names()) if not spec.external and spec.library is None]
RECORDED = response_table.read(example_table())


class TestEveryExecutor(ExecutorContract):
    """Each in turn, with its defaults; another one that calls no workers has a test that says what it can answer."""

    @pytest.fixture(autouse=True, params=[spec.name for spec in SPECS if spec.needs_model or spec.name == "recorded"])
    def executor(self, request: pytest.FixtureRequest) -> None:
        self.spec = executors.load(request.param)

    def job(self, number: int) -> Job:
        """One that is in the table, for those that look answers up."""
        if self.spec.needs_model:
            return super().job(number)
        recipe, ids = RECORDED[number].recipe, [id for task, id in RECORDED[number].metrics if task == "exam_a"]
        return Job.of(recipe, {"exam_a": tuple(ids)}, Ask("search", 1, number))


class TestThoseThatCallWorkers(WorkerContract):
    """Each of them in turn, with its defaults."""

    @pytest.fixture(autouse=True, params=[spec.name for spec in SPECS if spec.needs_model])
    def executor(self, request: pytest.FixtureRequest) -> None:
        self.spec = executors.load(request.param)


class TestThoseThatStartTheirWorkers(OwnWorkersContract):
    """Each of them in turn, with its defaults."""

    @pytest.fixture(autouse=True, params=[spec.name for spec in SPECS if spec.needs_model])
    def executor(self, request: pytest.FixtureRequest) -> None:
        self.spec = executors.load(request.param)


class TestThoseWithProcesses(ProcessContract):
    """Each of them in turn, with its defaults."""

    @pytest.fixture(autouse=True, params=[spec.name for spec in SPECS if spec.local_processes])
    def executor(self, request: pytest.FixtureRequest) -> None:
        self.spec = executors.load(request.param)


class TestThoseWithLimits(DeathContract):
    """Each of them in turn, with its defaults."""

    @pytest.fixture(autouse=True, params=[spec.name for spec in SPECS if {"timeout", "memory"} <= set(spec.options)])
    def executor(self, request: pytest.FixtureRequest) -> None:
        self.spec = executors.load(request.param)
