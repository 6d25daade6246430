"""The folder that driver and workers share: its contract, and what becomes of jobs whoever vanishes."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from evomerge import executors
from evomerge.contracts import workers
from evomerge.contracts.executor import ExecutorContract, WorkerContract
from evomerge.contracts.watching import wait_for
from evomerge.evaluation import Failure, Job, Outcome, Response
from evomerge.executors import ExecutorError, MakeWorker, run
from evomerge.executors._folder import messages
from evomerge.executors._folder.packed_drafts import PackedDrafts
from evomerge.executors._folder.work import Signature
from evomerge.executors.folder import FolderWorker, SharedFolder, WorkFolder
from evomerge.executors.local import LocalExecutor

GRACE = 60.0


@contextlib.contextmanager
def joined(folder: Path, make_worker: MakeWorker = workers.make_square, count: int = 1) -> Iterator[list[FolderWorker]]:
    """Workers in threads of this process, which work while this is entered."""
    over = threading.Event()
    found = [
        FolderWorker(WorkFolder(folder), LocalExecutor(make_worker), f"thread-{number}", GRACE)
        for number in range(count)
    ]

    def serve(worker: FolderWorker) -> None:
        while not over.is_set():
            if not worker.turn(0.0):
                over.wait(0.005)
        worker.leave()

    threads = [threading.Thread(target=serve, args=(worker,)) for worker in found]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        over.set()
        for thread in threads:
            thread.join()


def files(folder: Path) -> list[str]:
    """Names of all files but those of workers."""
    return sorted(path.name for path in (folder / "jobs").iterdir())


class TestFolder(ExecutorContract, WorkerContract):
    """With two workers that come from elsewhere."""

    spec = executors.load("folder")

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.options = {"folder": str(tmp_path / "work")}

    def joined(self, make_worker: MakeWorker) -> contextlib.AbstractContextManager[object]:
        return joined(Path(self.options["folder"]), make_worker, 2)


def test_nothing_is_left_of_jobs_that_ended(tmp_path: Path) -> None:
    executor = SharedFolder(tmp_path)
    with joined(tmp_path):
        assert len(list(run(executor, [workers.job(number) for number in range(260)]))) == 260
    assert files(tmp_path) == []
    assert list((tmp_path / "workers").iterdir()) == []


def test_jobs_of_dead_workers_are_freed_while_others_end(tmp_path: Path) -> None:
    """Each look brings a result here."""
    executor, work = SharedFolder(tmp_path), WorkFolder(tmp_path)
    executor.submit(workers.job(0))
    executor._list()
    vanish(tmp_path)
    executor.submit(workers.job(1))
    executor._list()
    ended: list[str] = []
    with joined(tmp_path):
        wait_for(lambda: bool(work.ended(work.names())))
        for number, result in enumerate(executor.results(), 2):
            ended.append(result.job)
            if result.job == "job-0":
                break
            assert number < 20
            executor.submit(workers.job(number))
            executor._list()
            wait_for(lambda: bool(work.ended(work.names())))
    assert ended[-1] == "job-0"


def vanish(folder: Path) -> None:
    """A worker that claims what it can, in a process of its own, and is killed."""
    child = os.fork()
    if not child:
        FolderWorker(WorkFolder(folder), LocalExecutor(workers.make_square), "vanishing", GRACE)._look()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)


def test_a_worker_that_vanished_loses_its_job_to_another(tmp_path: Path) -> None:
    """Seen at once on this machine; the attempt is counted; lost again and again, it ends the run."""
    executor = SharedFolder(tmp_path, retries=1, grace=GRACE)
    executor.submit(workers.job(1))
    executor._list()
    vanish(tmp_path)
    assert len(WorkFolder(tmp_path).claimed(WorkFolder(tmp_path).names())) == 1
    executor._watch()
    with joined(tmp_path):
        assert [result.attempt for result in executor.results()] == [2]
    executor.submit(workers.job(2))
    executor._list()
    vanish(tmp_path)
    executor._watched = 0.0
    executor._watch()
    vanish(tmp_path)
    executor._watched = 0.0
    with pytest.raises(ExecutorError, match=r"job-2 was lost 2 times"):
        executor._watch()


def test_a_worker_of_another_machine_is_gone_when_it_gives_no_sign_of_life(tmp_path: Path) -> None:
    """By the file system's clock: a claim of a living one is left alone, one of a silent one is taken away."""
    executor = SharedFolder(tmp_path, grace=GRACE)
    executor.submit(workers.job(1))
    executor._list()
    work, far = WorkFolder(tmp_path), Signature("far.1", json.dumps({"worker": "far.1", "machine": "another"}))
    (key,) = (work.read_list(work.lists(work.names())[0]) or {})["jobs"]
    work.sign(far)
    assert work.claim(key, far)
    executor._watch()
    assert work.holds(key, far)
    alive = tmp_path / "workers" / "far.1.alive"
    os.utime(alive, (alive.stat().st_mtime - GRACE - 1,) * 2)
    executor._watched = 0.0
    executor._watch()
    assert not work.holds(key, far)
    work.renew(far)
    assert work.claim(key, far), "one that was only slow joins again"


def test_there_is_room_for_more_when_workers_join(tmp_path: Path) -> None:
    """Before anything has ended: nobody works until the second job is there."""
    executor, idle = SharedFolder(tmp_path), []
    executor.submit(workers.job(1))
    with contextlib.ExitStack() as stack:

        def room() -> None:
            if len(idle) == 1:
                executor.submit(workers.job(2))
                stack.enter_context(joined(tmp_path))
            idle.append(executor.capacity)

        for number in range(2):
            worker = FolderWorker(WorkFolder(tmp_path), LocalExecutor(workers.make_square), f"idle-{number}", GRACE)
            stack.callback(worker.leave)
        assert {result.job for result in executor.results(room)} == {"job-1", "job-2"}
    assert idle[:2] == [2, 2]


def test_claims_are_granted_once(tmp_path: Path) -> None:
    """Also where files have no second names."""
    work = WorkFolder(tmp_path)
    one, two = Signature.of("one"), Signature.of("two")
    work.sign(one)
    work.sign(two)
    assert [work.claim("a", worker) for worker in (one, two, one)] == [True, False, True]
    assert [work.holds("a", worker) for worker in (one, two)] == [True, False]
    work.release("a", two)
    assert not work.take_away("a", two.name)
    assert work.holds("a", one)
    work.release("a", one)
    assert work.claim("a", two)
    assert work.take_away("a", two.name)
    assert work.holder("a") is None


def test_claims_without_second_names_are_granted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.EPERM, "no second names here")

    monkeypatch.setattr(Path, "hardlink_to", none)
    test_claims_are_granted_once(tmp_path)
    assert [result.job for result in _one_job(tmp_path)] == ["job-1"]


def _one_job(folder: Path) -> list[executors.Result]:
    executor = SharedFolder(folder)
    with joined(folder):
        return list(run(executor, [workers.job(1)]))


def test_a_result_that_a_power_cut_tore_is_a_loss(tmp_path: Path) -> None:
    executor = SharedFolder(tmp_path)
    executor.submit(workers.job(1))
    executor._list()
    work = WorkFolder(tmp_path)
    (key,) = (work.read_list(work.lists(work.names())[0]) or {})["jobs"]
    work.write_result(key, "\0" * 20)
    with joined(tmp_path):
        assert [result.attempt for result in executor.results()] == [2]


def test_a_cancelled_job_is_given_up_by_its_worker(tmp_path: Path) -> None:
    """As soon as the driver looks for results again."""
    executor = SharedFolder(tmp_path)
    for number in (1, 2):
        executor.submit(workers.job(number))
    executor._list()
    worker = FolderWorker(WorkFolder(tmp_path), _Two(workers.make_square), "two", GRACE)
    assert worker._look()
    executor.cancel(workers.job(1).id)
    worker._look()
    assert len(worker._taken) == 2, "the run may be interrupted here, and gone on with"
    executor._list()
    worker._look()
    assert list(worker._taken) == [workers.job(2).id]
    assert worker.turn(0.0)
    assert [result.job for result in executor.results()] == [workers.job(2).id]
    worker.leave()


def test_a_job_that_was_taken_away_is_given_up_though_another_has_claimed_it(tmp_path: Path) -> None:
    executor, work = SharedFolder(tmp_path), WorkFolder(tmp_path)
    executor.submit(workers.job(1))
    executor._list()
    slow = FolderWorker(work, LocalExecutor(workers.make_square), "slow", GRACE)
    assert slow._look()
    assert work.take_away(messages.key_of(messages.job_to_json(workers.job(1))), slow._worker.name)
    other = FolderWorker(work, LocalExecutor(workers.make_square), "other", GRACE)
    assert other._look()
    slow._look()
    other._look()
    assert (slow.busy, other.busy) == (False, True)
    slow.leave()
    assert other.turn(0.0)
    assert [result.worker.split()[0] for result in executor.results()] == ["other"]
    other.leave()


class _Two(LocalExecutor):
    capacity = 2


def test_jobs_and_results_are_the_same_as_json() -> None:
    job = replace(workers.job(3), drafts={"a": ((5, 6), (7,))}, variant="int4")
    packed = PackedDrafts()
    sent = [messages.job_to_json(job, packed), packed.texts([job.drafts])]
    assert messages.job_from_json(*json.loads(json.dumps(sent))) == job
    assert messages.job_from_json(messages.job_to_json(workers.job(3)), {}) == workers.job(3)
    response = Response(
        "t", "i", {"acc": 0.1, "pair": [1, 0.25]}, (-1.5, 1e-300), (True,), ("é\ud800",), True, (3,), ((1,),)
    )
    for outcome in (Outcome((response,), None, {"merge": 0.5}), Outcome(error=Failure("oom", "no room"))):
        result = executors.Result("job", 2, "w", outcome)
        assert messages.read_result(messages.result_text(result)) == result
    odd = executors.Result("job", 1, "w", Outcome((Response("t", "i", {"acc": object()}),)))
    error = messages.read_result(messages.result_text(odd)).outcome.error
    assert error is not None
    assert error.kind == "error"


def _drafted(job: Job) -> Outcome:
    """Answers with the drafts that it was given."""
    return Outcome((Response("task", "item", {}, ids=job.drafts["item"]),))


def test_the_drafts_of_a_batch_lie_in_its_list_once_and_come_with_every_job(tmp_path: Path) -> None:
    drafts = {"item": tuple(tuple(range(start, start + 150)) for start in range(16))}
    jobs = [replace(workers.job(number), drafts=drafts) for number in range(3)]
    other = replace(workers.job(3), drafts={"item": ((7,),)})
    executor, work = SharedFolder(tmp_path), WorkFolder(tmp_path)
    for job in (*jobs, other):
        executor.submit(job)
    executor._list()
    (name,) = work.lists(work.names())
    listed = work.read_list(name) or {}
    assert len(listed["jobs"]) == 4
    assert len(listed["drafts"]) == 2, "one for all jobs that bring the same"
    keys = {messages.key_of(messages.job_to_json(job)) for job in (*jobs, other)}
    assert keys == set(listed["jobs"]), "the same job in any session"
    assert messages.key_of(messages.job_to_json(workers.job(3))) not in keys, "with other drafts it is another"
    with joined(tmp_path, lambda: _drafted, count=2):
        brought = {result.job: result.outcome.responses[0].ids for result in executor.results()}
    assert brought == {**{job.id: drafts["item"] for job in jobs}, other.id: ((7,),)}
    assert files(tmp_path) == []
