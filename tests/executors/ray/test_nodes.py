"""Nodes that go, nodes that refuse, shares of nodes."""

from __future__ import annotations

import functools
import os
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evomerge import executors
from evomerge.contracts import workers
from evomerge.contracts.watching import gone, wait_for
from evomerge.errors import InputError
from evomerge.evaluation import Job, Outcome
from evomerge.executors import ExecutorError, run
from tests.executors.ray.conftest import SMALL, STORE, unhurried
from tests.run.family import ROOT, Family, answers, records
from tests.run.shared import PATIENCE, recorded


@pytest.fixture
def node(cluster: Any) -> Iterator[Callable[..., Any]]:
    """Adds nodes, which are gone when the test is over."""
    added = []

    def add(**resources: Any) -> Any:
        added.append(cluster.add_node(object_store_memory=STORE, **resources))
        return added[-1]

    yield add
    for one in added:
        if one in cluster.worker_nodes:
            cluster.remove_node(one, allow_graceful=False)


def raylet(node: Any) -> int:
    """The process whose end is the end of a node."""
    return int(node.all_processes["raylet"][0].process.pid)


class Waiting:
    """Leaves a trace and works on when a file appears. Calling it is working.

    Args:
        folder: Where the files lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, job: Job) -> Outcome:
        """Waits, and squares."""
        (self.folder / f"{os.getpid()}.at-{job.recipe.seed}").touch()
        while not (self.folder / "go").exists():
            time.sleep(0.01)
        return workers.square(job)


def refusing_but_for(folder: Path) -> executors.Worker:
    """Only the first worker is made."""
    try:
        (folder / "taken").touch(exist_ok=False)
    except FileExistsError:
        raise InputError(f"no checkpoint on {socket.gethostname()}") from None
    return workers.square


def test_a_job_that_went_with_its_node_is_tried_again_and_says_nothing_about_the_candidate(
    node: Callable[..., Any], tmp_path: Path
) -> None:
    """Though it happens twice, and two deaths of a worker would be evidence. Its share is on these nodes alone."""
    nodes = [node(num_cpus=1, num_gpus=1) for _ in range(3)]
    executor = executors.make("ray", functools.partial(Waiting, tmp_path), workers=1, gpus=1)
    executor.submit(workers.job(3))
    killed = threading.Thread(target=_kill_those_at_work, args=(nodes, tmp_path, 2))
    killed.start()
    results = list(executor.results())
    killed.join()
    executor.close()
    assert [(result.attempt, workers.answer(result.outcome)) for result in results] == [(3, 9)]
    assert all(gone(int(trace.stem)) for trace in tmp_path.glob("*.at-3"))


def _kill_those_at_work(nodes: list[Any], folder: Path, times: int) -> None:
    def at_work(number: int) -> bool:
        return len(list(folder.glob("*.at-3"))) == number

    try:
        for number in range(1, times + 1):
            wait_for(functools.partial(at_work, number), 300)
            newest = max(folder.glob("*.at-3"), key=lambda trace: trace.stat().st_mtime_ns)
            victim = next(one for one in nodes if raylet(one) in _ancestors(int(newest.stem)))
            os.kill(raylet(victim), 9)
        wait_for(functools.partial(at_work, times + 1), 300)
    finally:
        (folder / "go").touch()


def _ancestors(pid: int) -> list[int]:
    found = []
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        found.append(pid)
    return found


def test_an_actor_that_dies_alone_is_evidence(cluster: Any, tmp_path: Path) -> None:
    """Its node lives: the second time the candidate has failed, and the others go on."""
    make_worker = functools.partial(_KillingItsActor, tmp_path)
    executor = executors.make("ray", make_worker, workers=2)
    found = {workers.number(result.job): result for result in run(executor, [workers.job(n) for n in range(4)])}
    executor.close()
    assert {number: result.attempt for number, result in found.items()} == {0: 1, 1: 2, 2: 2, 3: 1}
    assert [number for number, result in found.items() if result.outcome.error] == [2]
    failure = found[2].outcome.error
    assert failure is not None
    assert "2 workers died at it" in failure.message
    assert "worker process has died" in failure.message


class _KillingItsActor(workers.Dying):
    """Kills its parent, the actor: once on 1, always on 2."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, (1,), (2,))

    def __call__(self, job: Job) -> Outcome:
        trace = self.folder / f"died-{job.recipe.seed}"
        if job.recipe.seed in self.always or (job.recipe.seed in self.once and not trace.exists()):
            trace.touch()
            os.kill(os.getppid(), 9)
            time.sleep(600)
        return workers.square(job)


def test_a_worker_that_refuses_is_left_out_and_all_that_refuse_end_the_run(cluster: Any, tmp_path: Path) -> None:
    executor = executors.make("ray", functools.partial(refusing_but_for, tmp_path), workers=2)
    results = []
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        while not said:
            results += run(executor, [workers.job(number) for number in range(4)])
    assert "is left out: no checkpoint on" in str(said[0].message)
    assert {result.worker for result in results} == {state.name for state in executor.workers() if state.ready}
    executor.close()
    with pytest.warns(UserWarning, match="left out"), pytest.raises(InputError, match="no checkpoint on"):
        list(run(executor, [workers.job(0)]))
    executor.close()


def test_one_that_is_left_out_ends_no_run_that_has_lost_its_nodes(node: Callable[..., Any], tmp_path: Path) -> None:
    """It is the other node that is waited for, as long as patience says."""
    nodes = [node(num_cpus=1, num_gpus=1) for _ in range(2)]
    make_worker = functools.partial(waiting_alone, tmp_path)
    executor = executors.make("ray", make_worker, gpus=1, patience=8)
    executor.submit(workers.job(3))
    executor.submit(workers.job(4))

    def kill() -> None:
        wait_for(lambda: (tmp_path / "refused").exists() and any(tmp_path.glob("*.at-*")), 300)
        (trace,) = tmp_path.glob("*.at-*")
        os.kill(raylet(next(one for one in nodes if raylet(one) in _ancestors(int(trace.name.split(".")[0])))), 9)

    killer = threading.Thread(target=kill)
    killer.start()
    with (
        pytest.warns(UserWarning, match="left out"),
        pytest.raises(ExecutorError, match=r"in 8 seconds; .*left out: no check"),
    ):
        list(executor.results())
    killer.join()
    executor.close()


def waiting_alone(folder: Path) -> executors.Worker:
    """Only the first worker is made, and waits."""
    try:
        (folder / "taken").touch(exist_ok=False)
    except FileExistsError:
        (folder / "refused").touch()
        raise InputError("no checkpoint here") from None
    return Waiting(folder)


def test_shares_may_be_parts_of_a_gpu_and_as_many_workers_as_fit_are_made(node: Callable[..., Any]) -> None:
    node(num_cpus=2, num_gpus=1)
    executor = executors.make("ray", workers.make_square, gpus=0.5, cpus=0.5)
    assert executor.capacity == 2
    assert len(list(run(executor, [workers.job(number) for number in range(6)]))) == 6
    while not all(state.ready for state in executor.workers()):
        assert len(list(run(executor, [workers.job(number) for number in range(2)]))) == 2
    states = executor.workers()
    executor.close()
    assert [state.place for state in states] == [f"{socket.gethostname()} cuda:0"] * 2


def test_a_share_that_no_node_has_ends_the_run_with_what_to_change(cluster: Any) -> None:
    executor = executors.make("ray", workers.make_square, workers=1, cpus=64, patience=1)
    with pytest.raises(ExecutorError, match=r"had room for a worker \(64 CPU\) in 1 seconds; give workers less"):
        list(run(executor, [workers.job(0)]))
    executor.close()


def test_records_are_those_of_the_local_executor_though_nodes_are_killed(
    cluster: Any, node: Callable[..., Any], family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole search of the program; a node is killed whenever some more candidates are scored."""
    local, spread = tmp_path / "local", tmp_path / "ray"
    changes = {"functions": unhurried(tmp_path), **SMALL}
    assert family.search(local, **changes) == 0
    monkeypatch.setenv("EVOMERGE_TEST_SLEEP", "0.5")  # for the nodes, and what works on them
    nodes = [node(num_cpus=1, num_gpus=1) for _ in range(2)]
    options = f"{{gpus: 1, address: '{cluster.address}'}}"
    words = family.words(spread, **changes, executor="ray", executor__workers=2, executor__options=options)
    with (tmp_path / "said").open("w") as said:
        program = subprocess.Popen(
            [sys.executable, "-m", "evomerge", "search", *words],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=said,
        )
    try:
        for victim, lines in enumerate((4, 14, 24)):
            wait_for(functools.partial(_ended_or_recorded, program, spread, lines), PATIENCE)
            if program.poll() is not None:
                break
            os.kill(raylet(nodes[victim]), 9)
            nodes.append(node(num_cpus=1, num_gpus=1))  # Ray does this in a main thread alone
        assert program.wait(PATIENCE) == 0, (tmp_path / "said").read_text()
    finally:
        program.kill()
    assert len(nodes) == 2 + 3, "three were killed, each replaced by another"
    assert records(spread) == records(local)
    assert answers(spread) == answers(local)


def _ended_or_recorded(program: subprocess.Popen[bytes], run: Path, evaluations: int) -> bool:
    return program.poll() is not None or recorded(run) >= evaluations
