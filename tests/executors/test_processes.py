"""Worker processes on GPUs, which need none to be tried, and what keeps a worker from being blamed."""

from __future__ import annotations

import functools
import mmap
import os
import threading
from pathlib import Path

import pytest

from evomerge import executors
from evomerge.contracts import workers
from evomerge.contracts.watching import wait_for
from evomerge.errors import InputError
from evomerge.evaluation import Job, Outcome, Response
from evomerge.executors import ExecutorError, ExecutorSettings, run
from evomerge.executors._shared.gpus import grouped, named
from evomerge.executors._shared.limits import Limits, private_bytes
from evomerge.executors._shared.member import Member
from evomerge.executors.processes import Processes


def test_each_worker_sees_one_gpu_before_it_loads_anything() -> None:
    """More workers than GPUs share them in turn; one that replaces another has its GPU."""
    executor = Processes(workers.Seeing(), 3, gpus=("4", "7"))
    found = {result.worker: workers.answer(result.outcome) for result in run(executor, map(workers.job, range(9)))}
    places = {state.name: state.place for state in executor.workers()}
    executor.close()
    assert {name: places[name].rpartition(" ")[2] for name in found} == {
        name: f"cuda:{int(gpu)}" for name, gpu in found.items()
    }
    assert {name: places[name].rpartition(":")[2] for name in places} == {
        "process 1": "4",
        "process 2": "7",
        "process 3": "4",
    }


def test_gpus_have_the_names_that_the_environment_gives_them() -> None:
    assert named(2, {}) == ("0", "1")
    assert named(2, {"CUDA_VISIBLE_DEVICES": "3,5"}) == ("3", "5")
    assert named(1, {"CUDA_VISIBLE_DEVICES": "MIG-a, MIG-b"}) == ("MIG-a",), "the driver counts those that are there"
    assert named(0, {"CUDA_VISIBLE_DEVICES": ""}) == ()
    assert grouped(("0", "1", "2"), 1) == ("0", "1", "2")
    assert grouped(("0", "1", "2", "3", "4"), 2) == ("0,1", "2,3"), "one that is left over is nobody's"
    assert grouped(("0", "1"), 4) == ("0,1",)
    assert grouped((), 2) == ()


def test_a_gpu_that_is_named_is_for_all_workers_and_one_is_enough() -> None:
    spec = executors.load("processes")
    assert spec.workers(ExecutorSettings("processes"), "cuda:1") == 1
    assert spec.workers(ExecutorSettings("processes", 3), "cuda:1") == 3


def test_an_idle_worker_that_grows_between_two_looks_is_replaced() -> None:
    class Sudden(Limits):
        looks = iter((True, False, True, True))  # as a job comes, then when idle ones are looked through, twice each

        def too_large(self, member: Member) -> bool:
            return member.name == "process 1" and member.occupation.done > 0 and next(self.looks, True)

    executor = Processes(workers.make_square, 1, limits=Sudden(memory=2**40))
    assert [result.worker for result in run(executor, [workers.job(1)])] == ["process 1"]
    assert [result.worker for result in run(executor, [workers.job(2)])] == ["process 2"]
    executor.close()


class Growing:
    """Takes 300 MB when it has answered job 1, and leaves a file. Calling it is working."""

    def __init__(self, file: Path) -> None:
        self.file, self.kept = file, b""

    def __call__(self, job: Job) -> Outcome:
        if job.recipe.seed == 1:
            threading.Timer(0.1, self._grow).start()
        return Outcome((Response("task", "item", {"square": os.getpid()}),))

    def _grow(self) -> None:
        self.kept = b"x" * 300_000_000
        self.file.touch()


@pytest.mark.faults
def test_a_worker_that_has_kept_too_much_is_replaced_before_its_next_candidate(tmp_path: Path) -> None:
    growing = functools.partial(Growing, tmp_path / "grown")
    executor = executors.make("processes", growing, workers=1, memory=250_000_000)
    first = [workers.answer(result.outcome) for result in run(executor, [workers.job(1)])]
    wait_for((tmp_path / "grown").exists)
    second = [workers.answer(result.outcome) for result in run(executor, [workers.job(2)])]
    executor.close()
    assert first != second


def test_memory_is_what_a_process_does_not_share(tmp_path: Path) -> None:
    """A mapped file is not counted, though all of it is resident."""
    import numpy as np

    np.save(tmp_path / "file.npy", np.ones(10_000_000))
    before = private_bytes(os.getpid())
    mapped = np.load(tmp_path / "file.npy", mmap_mode="r")
    assert mapped.sum() == 10_000_000
    assert private_bytes(os.getpid()) - before < 40_000_000
    # Fresh pages of its own: an array may be given memory that was freed, which is resident already.
    with mmap.mmap(-1, 80_000_000, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as held:
        held.write(bytes(80_000_000))
        assert private_bytes(os.getpid()) - before > 70_000_000


class Deaf:
    """Cuts its connection and lives on. Calling it is working."""

    def __call__(self, job: Job) -> Outcome:
        if job.recipe.seed == 1:
            os.closerange(3, 100)
            while True:
                os.sched_yield()
        return workers.square(job)


@pytest.mark.faults
def test_a_worker_that_cannot_be_heard_is_ended() -> None:
    executor = executors.make("processes", Deaf, workers=1)
    found = {workers.number(r.job): r for r in run(executor, [workers.job(n) for n in range(3)])}
    executor.close()
    assert "closed the connection" in str(found[1].outcome.error)
    assert found[2].outcome.error is None


def test_in_this_process_a_device_that_computes_no_more_ends_the_run() -> None:
    """It cannot be replaced; the job is tried again when the run goes on."""
    executor = executors.make("local", workers.make_poisoned)
    with pytest.raises(ExecutorError, match=r"illegal memory access.*executor=processes"):
        list(run(executor, [workers.job(1)]))
    with pytest.raises(InputError):
        executors.make("local", workers.make_square, timeout=3)
