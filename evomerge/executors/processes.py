"""Jobs in processes of this machine, each started afresh, replaced when it dies."""

from __future__ import annotations

import atexit
import multiprocessing
import signal
from collections import deque
from collections.abc import Generator, Sequence
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from typing import Any

from evomerge.errors import InputError
from evomerge.evaluation import Failure, Job, Outcome
from evomerge.executors._shared.child import serve
from evomerge.executors._shared.protocol import ExecutorError, MakeWorker

__all__ = ["Processes", "processes"]

RETRIES = 2  # of a job whose worker died
_GRACE = 5.0  # seconds a worker gets to leave by itself before it is killed

_spawn = multiprocessing.get_context("spawn")


class _Member:
    """One worker process and what it is doing."""

    def __init__(self, make_worker: MakeWorker) -> None:
        self.pipe, theirs = _spawn.Pipe()
        self.process: SpawnProcess = _spawn.Process(target=serve, args=(theirs, make_worker))
        self.ready = False
        self.job: int | None = None
        # The child inherits the mask, so that Ctrl-C cannot hit it before it has chosen to ignore it.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            theirs.close()

    def end(self, grace: float) -> None:
        """Closes the pipe, which tells an idle worker to leave; kills one that does not; reaps it."""
        self.pipe.close()
        self.process.join(grace)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.process.close()


class Processes:
    """Runs jobs in worker processes, at most ``workers`` at a time, started when jobs come.

    A worker that dies is replaced and its job given to another, twice; a job that costs three workers is a failed
    candidate, and the other jobs go on. A failure that a worker lived to tell is an outcome and is not retried.

    Args:
        make_worker: Picklable; makes the worker inside each process.
        workers: Number of processes.

    Raises:
        ValueError: if ``workers`` is not positive.
    """

    def __init__(self, make_worker: MakeWorker, workers: int) -> None:
        if workers < 1:
            raise ValueError(f"expected at least 1 worker, got {workers}")
        self._make_worker = make_worker
        self._workers = workers
        self._members: list[_Member] = []
        self._stillborn = 0

    def run(self, jobs: Sequence[Job]) -> Generator[tuple[int, Outcome], None, None]:
        """Runs jobs and yields outcomes as they come; see `Executor.run`."""
        waiting = deque(range(len(jobs)))
        deaths = dict.fromkeys(waiting, 0)
        left = len(jobs)
        try:
            while left:
                self._start(min(self._workers, left))
                self._hand_out(jobs, waiting)
                for member in self._heard():
                    message = self._message(member)
                    if message is None:
                        lost = self._bury(member, waiting, deaths)
                        if lost is not None:
                            left -= 1
                            self._hand_out(jobs, waiting)
                            yield lost
                    elif message[0] == "done":
                        index, member.job = member.job, None
                        left -= 1
                        assert index is not None
                        self._hand_out(jobs, waiting)  # so that nobody idles while the outcome is looked at
                        yield index, message[1]
        finally:
            for member in [member for member in self._members if member.job is not None]:
                self._members.remove(member)
                member.end(0.0)

    def close(self) -> None:
        """Ends every worker and waits until it is gone."""
        atexit.unregister(self.close)
        members, self._members = self._members, []
        for member in members:
            member.pipe.close()
        for member in members:
            member.end(_GRACE if member.ready else 0.0)

    def _start(self, wanted: int) -> None:
        # Workers are no daemons, as metrics may start processes of their own; so nothing else ends them when we exit.
        if not self._members:
            atexit.register(self.close)
        while len(self._members) < wanted:
            self._members.append(_Member(self._make_worker))

    def _hand_out(self, jobs: Sequence[Job], waiting: deque[int]) -> None:
        for member in self._members:
            if waiting and member.ready and member.job is None:
                member.job = waiting.popleft()
                try:
                    member.pipe.send(jobs[member.job])
                except (BrokenPipeError, ConnectionResetError):
                    continue  # it died just now; its sentinel says so next

    def _heard(self) -> list[_Member]:
        """Members that have sent something or died."""
        by_source: dict[Any, _Member] = {}
        for member in self._members:
            by_source[member.pipe] = member
            by_source[member.process.sentinel] = member
        found = wait(list(by_source))
        return list(dict.fromkeys(by_source[source] for source in found))

    def _message(self, member: _Member) -> tuple[str, Any] | None:
        """What a member says, or None when it is dead. Its last words count before its death does.

        Raises:
            InputError: if the worker cannot be made because of what the user asked for.
            ExecutorError: if the worker cannot be made for another reason.
        """
        try:
            message: tuple[str, Any] = member.pipe.recv() if member.pipe.poll() else _silence()
        except (EOFError, OSError):  # OSError: it died in the middle of a message
            return None
        if message[0] == "bad input":
            raise InputError(message[1])
        if message[0] == "broken":
            raise ExecutorError(f"a worker could not be started: {message[1]}")
        if message[0] == "ready":
            member.ready, self._stillborn = True, 0
        return message

    def _bury(self, member: _Member, waiting: deque[int], deaths: dict[int, int]) -> tuple[int, Outcome] | None:
        """Takes a dead member out and puts its job back in front.

        Returns:
            The job's index and failed outcome if it has now cost too many workers.

        Raises:
            ExecutorError: if workers keep dying before they are ready.
        """
        self._members.remove(member)
        member.process.join()
        how = _how(member.process.exitcode)
        job, ready = member.job, member.ready
        member.end(0.0)
        if not ready:
            self._stillborn += 1
            if self._stillborn > RETRIES:
                raise ExecutorError(f"{self._stillborn} workers in a row {how} before they were ready")
        if job is not None:
            deaths[job] += 1
            if deaths[job] > RETRIES:
                # Memory is what a candidate can take from a whole process; nothing else is known of its end.
                message = f"tried {deaths[job]} times; each time its worker died, the last {how}"
                return job, Outcome(error=Failure("oom", message))
            waiting.appendleft(job)
        return None


def _silence() -> tuple[str, Any]:
    """Stands for a process that ended without a word."""
    raise EOFError


def _how(exitcode: int | None) -> str:
    if exitcode == -signal.SIGKILL:
        return "was killed (signal 9; often the system running out of memory)"
    if exitcode is not None and exitcode < 0:
        return f"died of signal {-exitcode}"
    return f"ended with exit code {exitcode}"


def processes(make_worker: MakeWorker, workers: int) -> Processes:
    """An executor that runs jobs in ``workers`` fresh processes of this machine."""
    return Processes(make_worker, workers)
