"""Several drivers of one shared folder, one after the other, and a folder that is removed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from evomerge import executors
from evomerge.contracts import workers
from evomerge.contracts.watching import wait_for
from evomerge.evaluation import Job, Outcome
from evomerge.executors import run
from evomerge.executors.folder import FolderWorker, SharedFolder, WorkFolder
from evomerge.executors.local import LocalExecutor
from evomerge.lease import LeaseLost
from tests.executors.test_folder import GRACE, files, joined


def test_a_driver_that_vanished_is_succeeded_and_what_was_done_is_not_done_again(tmp_path: Path) -> None:
    """The second one finds results and a worker at work; only what was not asked again is dropped."""
    first, second = SharedFolder(tmp_path), SharedFolder(tmp_path)
    for number in range(4):
        first.submit(workers.job(number))
    first._list()  # and no more is heard of it
    done: list[int] = []

    def counting() -> executors.Worker:
        def count(job: Job) -> Outcome:
            done.append(workers.number(job.id))
            return workers.square(job)

        return count

    with joined(tmp_path, counting):
        wait_for(lambda: len(done) == 4)
        found = {result.job for result in run(second, [workers.job(number) for number in range(1, 6)])}
    assert found == {workers.job(number).id for number in range(1, 6)}
    assert sorted(done) == list(range(6))
    assert len(files(tmp_path)) == 1, "the result of the job that was not asked again waits for it"


def test_lists_that_a_driver_of_before_removed_are_written_again(tmp_path: Path) -> None:
    """It slept between a job and its list; one that looks whether it has been succeeded changes nothing."""
    slept, driver = SharedFolder(tmp_path), SharedFolder(tmp_path)
    slept.submit(workers.job(1))
    for number in range(1, 4):
        driver.submit(workers.job(number))
    driver._list()
    before = files(tmp_path)

    def succeeded() -> None:
        raise LeaseLost

    slept.check = succeeded
    with pytest.raises(LeaseLost):
        next(slept.results())
    assert files(tmp_path) == before
    slept.check = lambda: None
    slept._list()
    assert files(tmp_path) != before
    with joined(tmp_path):
        assert {result.job for result in driver.results()} == {workers.job(number).id for number in range(1, 4)}
    (tmp_path / "jobs").rename(tmp_path / "removed")
    driver.submit(workers.job(1))
    driver._list()
    (tmp_path / "jobs" / files(tmp_path)[0]).unlink()
    (tmp_path / "jobs").rmdir()
    driver._watched = 0.0
    driver._watch()
    assert not (tmp_path / "jobs").exists(), "a run that was removed stays so"


def test_a_run_that_was_removed_stays_so_when_a_job_ends(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "work"
    executor = SharedFolder(folder)
    executor.submit(workers.job(1))
    executor._list()
    worker = FolderWorker(WorkFolder(folder), LocalExecutor(workers.make_square), "late", GRACE)
    assert worker._look()
    shutil.rmtree(tmp_path / "run")
    assert worker.deliver(0.0)
    assert not worker.busy
    worker.leave()
    assert not (tmp_path / "run").exists()
