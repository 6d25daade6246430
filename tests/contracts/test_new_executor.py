"""An executor is one file and one test: nothing else is touched."""

from __future__ import annotations

from pathlib import Path

from tests.apart import Apart
from tests.contracts.copied_package import run_tests_in_a_copy

THREADS = '''
"""Jobs in threads of this process: for workers that wait, as for a service."""

from __future__ import annotations

import queue
import threading
import time

from evomerge.errors import InputError
from evomerge.executors import ExecutorError, ExecutorSpec, Result, WorkerState, call
from evomerge.options import Option


class Threads:
    """Each thread has its own worker, made when the first job comes."""

    def __init__(self, make_worker, workers):
        self.make_worker, self.capacity = make_worker, workers
        self.outstanding, self.taken, self.ended = {}, queue.Queue(), queue.Queue()
        self.threads, self.done = [], []

    def submit(self, job):
        """Hands the job to whichever thread is free."""
        if job.id in self.outstanding:
            raise ValueError(f"job {job.id} is outstanding already")
        ticket = object()
        self.outstanding[job.id] = ticket
        self.taken.put((job, ticket))
        if len(self.threads) < min(self.capacity, len(self.outstanding)):
            self.threads.append(threading.Thread(target=self.serve, args=(len(self.threads), self.taken), daemon=True))
            self.threads[-1].start()

    def serve(self, number, jobs):
        """The life of a thread."""
        try:
            worker = self.make_worker()
        except Exception as error:
            self.ended.put((None, error))
            return
        while (taken := jobs.get()) is not None:
            job, ticket = taken
            if self.outstanding.get(job.id) is ticket:
                began = time.monotonic()
                outcome = call(worker, job)
                self.done.append((number, time.monotonic() - began))
                self.ended.put((ticket, Result(job.id, 1, f"thread {number}", outcome)))

    def results(self, room=None):
        """Results of jobs that were not cancelled meanwhile."""
        while self.outstanding:
            ticket, result = self.ended.get()
            if ticket is None:
                if isinstance(result, InputError):
                    raise result
                raise ExecutorError(f"a thread has no worker: {result}") from result
            if self.outstanding.get(result.job) is ticket:
                del self.outstanding[result.job]
                yield result

    def workers(self):
        """What each has done; what it is at is not kept."""
        times = [[busy for number, busy in self.done if number == thread] for thread in range(len(self.threads))]
        return [WorkerState(f"thread {n}", "here", None, 0.0, len(t), sum(t), True) for n, t in enumerate(times)]

    def cancel(self, job):
        """Its result, if it comes, is dropped."""
        self.outstanding.pop(job, None)

    def close(self):
        """Ends the threads when they are done with what they are at."""
        self.outstanding.clear()
        for _ in self.threads:
            self.taken.put(None)
        for thread in self.threads:
            thread.join()
        self.threads, self.taken, self.ended = [], queue.Queue(), queue.Queue()


EXECUTOR = ExecutorSpec(
    name="threads",
    title="in threads of this process",
    make=lambda make_worker, options: Threads(make_worker, options["workers"]),
    options={"workers": Option(3, None, int, "number of threads", low=1)},
    in_process=True,
)
'''
TEST = """
from evomerge import executors
from evomerge.contracts.executor import ExecutorContract, WorkerContract


class TestThreads(ExecutorContract, WorkerContract):
    spec = executors.load("threads")


def test_is_found_by_its_name_and_offered_on_the_command_line():
    from evomerge.config.groups import choices

    assert "threads" in executors.names()
    assert choices()["executor"]["threads"]["workers"] == 3
"""


def test_a_new_executor_keeps_the_contract(bare: Apart, tmp_path: Path) -> None:
    code, printed = run_tests_in_a_copy(bare, tmp_path, {"executors/threads.py": THREADS}, TEST)
    assert code == 0, printed[-3000:]
