"""A worker's side of the folder: takes jobs, runs them on an executor of its own, leaves their results."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from evomerge.evaluation import Job
from evomerge.executors._folder import messages
from evomerge.executors._folder.work import Signature, WorkFolder
from evomerge.executors._shared.protocol import Result, WorkerState

__all__ = ["FolderWorker", "PolledExecutor"]

_AGAIN = (1.0, 2.0, 5.0, 10.0, 20.0)  # seconds before a result is written once more


class PolledExecutor(Protocol):
    """An executor that can be asked for a result without waiting until there is one."""

    @property
    def capacity(self) -> int: ...
    def submit(self, job: Job) -> None: ...
    def cancel(self, job: str) -> None: ...
    def close(self) -> None: ...
    def workers(self) -> Sequence[WorkerState]: ...

    def poll(self, seconds: float) -> Result | None:
        """The next result, if it comes within some seconds."""
        ...


@dataclass(frozen=True)
class _Taken:
    key: str
    job: Job


class FolderWorker:
    """Claims as many jobs as its executor runs at one time.

    Args:
        work: The folder.
        executor: Where its jobs run; closed by `leave`.
        name: Its name, for records and people.
        grace: Seconds without a sign of life after which it counts as gone; it gives ten in that time.
    """

    def __init__(self, work: WorkFolder, executor: PolledExecutor, name: str, grace: float) -> None:
        self._work = work
        self._executor = executor
        self._name = name
        self._worker = Signature.of(name)
        self._lists: dict[str, Mapping[str, Any]] = {}
        self._taken: dict[str, _Taken] = {}  # by id of the job
        self._ended: dict[str, str] = {}  # results of theirs that are not written yet
        self._random = random.Random(self._worker.name)  # where many look, they do not all take the first
        self._over = threading.Event()
        self._saying = threading.Lock()
        work.sign(self._worker)
        self._say()
        self._pulse = threading.Thread(target=self._live, args=(grace / 10,), name="heartbeat", daemon=True)
        self._pulse.start()

    @property
    def busy(self) -> bool:
        """Whether it is at any job."""
        return bool(self._taken)

    def remaining(self) -> float | None:
        """Seconds that the jobs it is at will take, as earlier ones took; None where there were none."""
        states = self._executor.workers()
        done, busy = sum(state.done for state in states), sum(state.busy for state in states)
        running = [state.seconds for state in states if state.job is not None]
        if not done:
            return None
        mean = (busy - sum(running)) / done
        return max((mean - seconds for seconds in running), default=0.0)

    def turn(self, seconds: float) -> bool:
        """Takes what is free, and leaves a result if one comes within some seconds; whether anything happened.

        Raises:
            InputError: If a worker cannot be made because of what the user asked for.
            ExecutorError: If none can be made for another reason.
        """
        changed = self._look()
        if self._taken:
            return self.deliver(0.0 if changed else seconds) or changed
        return changed

    def deliver(self, seconds: float) -> bool:
        """Leaves a result, if one comes within some seconds.

        Raises:
            OSError: If the file system is away for longer; the result is kept for the next time.
        """
        self._leave_results()
        result = self._executor.poll(seconds)
        taken = None if result is None else self._taken.get(result.job)
        if result is None or taken is None:
            return False
        named = Result(result.job, result.attempt, f"{self._name} {result.worker}", result.outcome)
        self._say()
        self._ended[result.job] = messages.result_text(named)
        self._leave_results()
        return True

    def _leave_results(self) -> None:
        for job in list(self._ended):
            self._write(self._taken[job].key, self._ended[job])
            del self._ended[job], self._taken[job]

    def _write(self, key: str, text: str) -> None:
        """Writes a result, with patience: it may be the work of hours, and the file system away for a moment."""
        for wait in _AGAIN:
            try:
                self._work.write_result(key, text)
                return
            except OSError:
                time.sleep(wait)
        self._work.write_result(key, text)

    def leave(self) -> None:
        """Gives back what it is at, so that others may take it at once, and ends its processes."""
        self._over.set()
        self._executor.close()
        for taken in self._taken.values():
            with contextlib.suppress(OSError):
                self._work.release(taken.key, self._worker)
        self._taken.clear()
        self._ended.clear()
        self._pulse.join()
        with contextlib.suppress(OSError):
            self._work.remove_worker(self._worker.name)

    def _look(self) -> bool:
        names = self._work.names()
        self._read_lists(self._work.lists(names))
        claimed, ended = self._work.claimed(names), self._work.ended(names) | self._work.done(names)
        self._give_up(ended)
        changed = False
        for name, found in self._lists.items():
            free = [key for key in found["jobs"] if key not in claimed and key not in ended]
            while free and len(self._taken) < self._executor.capacity:
                key = free.pop(self._random.randrange(len(free)))
                changed = self._claim(key, name, found) or changed
        return changed

    def _read_lists(self, names: Sequence[str]) -> None:
        """Reads the lists that it has not seen; they never change."""
        found = {name: self._lists.get(name) or self._work.read_list(name) for name in names}
        self._lists = {name: content for name, content in found.items() if content and "jobs" in content}

    def _claim(self, key: str, name: str, found: Mapping[str, Any]) -> bool:
        data = found["jobs"][key]
        if data["id"] in self._taken:
            return False  # the same place of the run, asked otherwise; what was asked first is given up by then
        if not self._work.claim(key, self._worker):
            return False
        if not self._work.has_list(name):  # since the look; whoever is slow may claim what ended long ago
            self._work.release(key, self._worker)
            return False
        job = messages.job_from_json(data, found["drafts"])
        self._taken[job.id] = _Taken(key, job)
        self._executor.submit(job)
        return True

    def _give_up(self, ended: set[str]) -> None:
        """Gives up jobs that are asked no more, that another worker has ended, or whose claim was taken away."""
        listed = {key for found in self._lists.values() for key in found["jobs"]}
        for id, taken in list(self._taken.items()):
            # Read, not listed: another worker may have claimed it by now.
            lost = not self._work.holds(taken.key, self._worker)
            if taken.key not in listed or taken.key in ended or lost:
                del self._taken[id]
                if self._ended.pop(id, None) is None:
                    self._executor.cancel(id)
                if taken.key not in listed:
                    self._work.release(taken.key, self._worker)

    def _live(self, every: float) -> None:
        while not self._over.wait(every):
            # A file system that is away for a moment is there again for the next one.
            with contextlib.suppress(OSError):
                self._work.renew(self._worker)
                self._say()

    def _say(self) -> None:
        processes = [asdict(state) for state in self._executor.workers()]
        for process in processes:
            process["name"] = f"{self._name} {process['name']}"
        state = {"worker": self._name, "slots": self._executor.capacity, "processes": processes, "time": time.time()}
        with self._saying, contextlib.suppress(OSError):
            self._work.say(self._worker, state)
