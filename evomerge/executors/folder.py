"""Jobs for workers that share the run's folder, on any machine: SLURM, Kubernetes, or by hand.

This is the driver's side; ``evomerge worker run=FOLDER`` is the workers'. Nobody needs to reach anybody else, nor does
anything but the folder have to be there all the time: workers go on with what is listed while there is no driver, and
the next driver, which replays the run and so asks the same jobs again, finds their results.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evomerge.evaluation import Job
from evomerge.executors._folder import messages
from evomerge.executors._folder.packed_drafts import PackedDrafts
from evomerge.executors._folder.pause import Pause
from evomerge.executors._folder.work import WorkFolder
from evomerge.executors._folder.worker import FolderWorker, PolledExecutor
from evomerge.executors._shared.attempts import RETRIES, Attempts
from evomerge.executors._shared.protocol import Executor, ExecutorError, MakeWorker, Result, WorkerState
from evomerge.executors._shared.spec import ExecutorSpec
from evomerge.options import Option

__all__ = ["EXECUTOR", "GRACE", "FolderWorker", "Pause", "PolledExecutor", "SharedFolder", "WorkFolder"]

GRACE = 180.0  # seconds
_LIST = 256  # most jobs of a list: one whose jobs have all ended is removed, so that few files are looked through
_SLOWEST = 2.0  # seconds between two looks at the folder
_WATCH = 2.0  # most seconds between two looks at who is alive


class SharedFolder:
    """Lists jobs in a folder and takes the results that workers leave there.

    A job whose worker is gone is free for others again; one that was lost so more than ``retries`` times ends the run.
    What is listed stays listed when the executor is closed, for whoever drives the run next.

    Args:
        folder: The folder; made when the first job is listed.
        retries: Most losses of a job that are made good.
        grace: Seconds without a sign of life after which a worker of another machine counts as gone.

    Attributes:
        check: Called before lists are changed; raises if another driver has succeeded this one, whose they are then.
    """

    def __init__(self, folder: Path, retries: int = RETRIES, grace: float = GRACE) -> None:
        self.check: Callable[[], None] = lambda: None
        self._work = WorkFolder(folder)
        self._attempts = Attempts(retries)
        self._grace = grace
        self._jobs: dict[str, Job] = {}  # outstanding
        self._keys: dict[str, str] = {}  # id to digest, of those that are listed
        self._ids: dict[str, str] = {}  # and the reverse
        self._unlisted: list[str] = []  # ids
        self._packed = PackedDrafts()
        self._lists: dict[str, set[str]] = {}  # digests of the jobs that are outstanding
        self._place: dict[str, str] = {}  # digest to list, of all jobs of lists that are there
        self._dropped = False
        self._recorded: list[str] = []  # digests whose results whoever took them has come back from
        self._watched = 0.0
        self._slots = (0.0, 1)

    @property
    def capacity(self) -> int:
        """Processes of all workers that have joined, as of a moment ago; 1 as long as there are none."""
        asked, slots = self._slots
        if time.monotonic() - asked > _WATCH:
            slots = max(1, sum(int(state.get("slots", 1)) for state in self._work.said()))
            self._slots = (time.monotonic(), slots)
        return slots

    def submit(self, job: Job) -> None:
        """Takes a job, which is listed when results are asked for; see `Executor.submit`."""
        if job.id in self._jobs:
            raise ValueError(f"job {job.id} is outstanding already")
        self._jobs[job.id] = job
        self._unlisted.append(job.id)

    def results(self, room: Callable[[], None] | None = None) -> Iterator[Result]:
        """See `Executor.results`."""
        pause = Pause(_SLOWEST)
        while self._jobs:
            self._list()
            came = False
            for key, id in self._arrived():
                result = self._take(key, id)
                if result is not None:
                    came = True
                    yield result
                    self._forget_recorded()
            if self._jobs:
                self._watch()
            if came:
                pause = Pause(_SLOWEST)
            elif self._jobs:
                if room is not None and len(self._jobs) < self.capacity:
                    room()
                time.sleep(pause.next())
        self._list()

    def cancel(self, job: str) -> None:
        """Forgets the job; its worker gives it up when the list has been changed, with the next look for results.

        Until then, and so where the run is interrupted here, workers go on with it: the next driver asks it again.
        """
        if self._jobs.pop(job, None) is None:
            return
        self._attempts.ended(job)
        if job in self._unlisted:
            self._unlisted.remove(job)
        if job in self._keys:
            del self._ids[self._keys.pop(job)]
            self._dropped = True

    def workers(self) -> Sequence[WorkerState]:
        """The processes of the workers that have joined, as they said last; see `Executor.workers`."""
        found = []
        for state in self._work.said():
            with contextlib.suppress(TypeError):  # another version's
                found += [WorkerState(**process) for process in state.get("processes", ())]
        return found

    def close(self) -> None:
        """Gives up what is outstanding, as `cancel` does. Workers are others' to end."""
        self._jobs.clear()
        self._keys.clear()
        self._ids.clear()
        self._dropped = True
        self._unlisted.clear()
        self._attempts.clear()

    def _list(self) -> None:
        """Lists new jobs, and takes cancelled ones off their lists."""
        self._forget_recorded()
        if self._unlisted or self._dropped:
            self.check()
        fresh = {}
        for id in self._unlisted:
            data = messages.job_to_json(self._jobs[id], self._packed)
            key = messages.key_of(data)
            self._keys[id], self._ids[key], fresh[key] = key, id, data
            self._attempts.given(id)
        self._unlisted.clear()
        changed = [name for name, keys in self._lists.items() if not keys <= self._ids.keys()] if self._dropped else []
        self._dropped = False
        if fresh or changed:
            self._work.make()
            names = self._work.names()
            foreign = [name for name in self._work.lists(names) if name not in self._lists]
            self._ask_again(fresh.keys() & self._work.done(names))
            self._rewrite(fresh, changed)
            self._succeed(foreign)

    def _ask_again(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._work.clear(key)
            self._place.pop(key, None)

    def _succeed(self, foreign: Sequence[str]) -> None:
        """Removes all that drivers before this one left, but for what workers may still be at.

        Workers that are at jobs which are asked again stay at them. Results wait for jobs that are asked later.
        """
        for name in foreign:
            self._work.remove_list(name)
        if foreign:
            names = self._work.names()
            for key in (self._work.claimed(names) | self._work.done(names)) - self._ids.keys() - self._place.keys():
                self._work.clear(key)

    def _rewrite(self, fresh: dict[str, Any], changed: Sequence[str]) -> None:
        """Writes lists of new jobs, and of those that other ones were taken away from, before old ones are removed."""
        moved = set().union(*(self._lists[name] for name in changed)) & self._ids.keys()
        jobs = {key: messages.job_to_json(self._jobs[self._ids[key]], self._packed) for key in moved} | fresh
        written = {}
        for begin in range(0, len(jobs), _LIST):
            part = dict(list(jobs.items())[begin : begin + _LIST])
            drafts = self._packed.texts(self._jobs[self._ids[key]].drafts for key in part)
            written[self._work.write_list({"jobs": part, "drafts": drafts})] = set(part)
        for name in changed:
            del self._lists[name]
            self._remove(name, keep=moved)
        self._lists |= written
        self._place |= {key: name for name, keys in written.items() for key in keys}

    def _arrived(self) -> list[tuple[str, str]]:
        """Digest and id of the outstanding jobs that have a result."""
        ended = self._work.ended(self._work.names())
        return [(key, self._ids[key]) for key in ended if key in self._ids]

    def _take(self, key: str, id: str) -> Result | None:
        """The result of a job, if it is still outstanding."""
        if self._keys.get(id) != key:
            return None  # cancelled between two results
        try:
            text = self._work.read_result(key)
            if text is None:
                return None
            result = messages.read_result(text)
        except ValueError:  # a machine lost power while it wrote
            self._work.clear(key)
            self._work.remove_result(key)
            self._lose(id, "its result was torn")
            return None
        del self._jobs[id], self._keys[id], self._ids[key]
        self._recorded.append(key)
        name = self._place[key]
        self._lists[name].discard(key)
        if not self._lists[name]:
            del self._lists[name]
            self._remove(name)
        attempt = self._attempts.ended(id) - 1 + result.attempt
        return Result(id, attempt, result.worker, result.outcome)

    def _remove(self, name: str, keep: Collection[str] = ()) -> None:
        """Removes a list, then the marks of its jobs, which until then keep workers from taking them."""
        self._work.remove_list(name)
        for key in [key for key, place in self._place.items() if place == name]:
            del self._place[key]
            if key not in keep:
                self._work.clear(key)

    def _forget_recorded(self) -> None:
        for key in self._recorded:
            if key in self._place:
                self._work.record(key)
            else:
                self._work.remove_result(key)
        self._recorded.clear()

    def _watch(self) -> None:
        """Frees the jobs of workers that are gone, and lists anew what is listed no more."""
        if time.monotonic() - self._watched < min(_WATCH, self._grace / 4):
            return
        self._watched = time.monotonic()
        names = self._work.names()
        self._restore(self._lists.keys() - set(self._work.lists(names)))
        claimed = self._work.claimed(names)
        dead = self._work.dead(self._grace)
        for id, key in list(self._keys.items()):
            if key not in claimed:
                continue
            name = self._work.holder(key)
            # One that nothing is known of is given the time in which others give a sign of life.
            gone = name in dead or (name is not None and not self._work.knows(name) and self._late(key))
            if gone and name is not None and self._work.take_away(key, name):
                self._lose(id, f"worker {name or 'without a name'} gave no sign of life any more")
        for name in dead:
            self._work.remove_worker(name)

    def _restore(self, gone: Collection[str]) -> None:
        """Lists jobs again whose lists another driver has removed.

        One that slept for so long that it was succeeded takes the lists of its successor for those of an earlier
        driver, until it finds out.
        """
        if gone:
            self.check()
            if self._work.jobs.is_dir():  # else the run has been removed
                self._rewrite({}, sorted(gone))

    def _late(self, key: str) -> bool:
        return self._work.age(key) > self._grace

    def _lose(self, id: str, how: str) -> None:
        try:
            self._attempts.lost(id, how)
        except ExecutorError:
            self.close()
            raise
        self._attempts.given(id)


def make(make_worker: MakeWorker, options: Mapping[str, Any]) -> Executor:
    """Makes the executor; workers are made where they are, from what the run's folder says of them."""
    return SharedFolder(Path(options["folder"]), options["retries"], options["grace"])


EXECUTOR = ExecutorSpec(
    name="folder",
    title="by workers on any machine that share the run's folder: evomerge worker run=FOLDER",
    make=make,
    external=True,
    options={
        "folder": Option(None, None, str, "where driver and workers meet; filled in: in the run's folder"),
        "grace": Option(GRACE, None, float, "seconds without a sign of life after which a worker is gone", low=1.0),
        "gpus": Option(1, None, int, "GPUs that each worker sees", low=1),
        # Limits of the workers' own processes, which hear of them through the run's folder.
        "timeout": Option(None, None, float, "seconds after which a candidate has failed", low=0.0),
        "memory": Option(None, None, int, "most bytes of a process's own memory", low=1),
        "retries": Option(RETRIES, None, int, "how often a candidate is tried again when its worker is gone", low=0),
    },
)
