"""Workers that compute, fail, sleep and die, for the contract of executors; they need no model."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evomerge.errors import InputError
from evomerge.evaluation import Ask, Job, Outcome, Response, Unusable
from evomerge.executors import ExecutorSpec, Worker
from evomerge.recipe import CheckpointRef, Group, ParameterGroups, Recipe

__all__ = [
    "Dying",
    "Seeing",
    "Sleeping",
    "answer",
    "job",
    "make_broken",
    "make_crashing",
    "make_greedy",
    "make_leaving",
    "make_poisoned",
    "make_raising",
    "make_refusing",
    "make_square",
    "make_stillborn",
    "number",
    "square",
]


def job(number: int) -> Job:
    """A job that carries a number as its recipe's seed."""
    groups = ParameterGroups((Group("model"),))
    recipe = Recipe("linear", {}, (CheckpointRef("a"),), None, groups, {"weight": np.ones((1, 1))}, seed=number)
    return Job(f"job-{number}", recipe, {"task": ("item",)}, Ask("search", 1, number))


def number(id: str) -> int:
    """The number that a job's id carries."""
    return int(id.rpartition("-")[2])


def answer(outcome: Outcome) -> float:
    """The number that a worker answered with."""
    return outcome.responses[0].metrics["square"]


def square(job: Job) -> Outcome:
    """The number squared."""
    return Outcome((Response("task", "item", {"square": job.recipe.seed**2}),))


def make_square() -> Worker:
    """A worker that squares."""
    return square


def make_raising() -> Worker:
    """A worker that runs out of memory on 1 and fails on 2."""
    return _raise


def _raise(job: Job) -> Outcome:
    if job.recipe.seed == 1:
        raise MemoryError("no room")
    if job.recipe.seed == 2:
        raise RuntimeError("no luck")
    return square(job)


def make_refusing() -> Worker:
    """No worker, because of two things that the user got wrong."""
    raise InputError(["the first thing", "the second thing"])


def make_broken() -> Worker:
    """No worker, because of the machine."""
    raise OSError("the disk is gone")


def make_leaving() -> Worker:
    """A worker whose process ends at its first job."""
    return _leave


def _leave(job: Job) -> Outcome:
    os._exit(3)


def make_poisoned() -> Worker:
    """A worker whose device computes no more after its first job 1; the process lives."""
    return _poison


def _poison(job: Job) -> Outcome:
    if job.recipe.seed == 1:
        raise Unusable("CUDA error: an illegal memory access was encountered")
    return square(job)


def make_crashing() -> Worker:
    """A worker that aborts on 1, reads where there is no memory on 2, recurses without end on 3 and exits on 4."""
    return _crash


def _crash(job: Job) -> Outcome:
    if job.recipe.seed == 1:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.abort()
    if job.recipe.seed == 2:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        ctypes.string_at(0)
    if job.recipe.seed == 3:
        return _crash_deeper(job)
    if job.recipe.seed == 4:
        sys.exit("enough")
    return square(job)


def _crash_deeper(job: Job) -> Outcome:
    return _crash(job)


def make_greedy() -> Worker:
    """A worker that takes 300 MB on 1 and waits for what comes of it."""
    return _hoard


def _hoard(job: Job) -> Outcome:
    if job.recipe.seed == 1:
        held = np.ones(300_000_000 // 8)
        time.sleep(600)
        del held
    return square(job)


class Seeing:
    """Answers with the number of the GPU that its process could see before this very object was unpickled."""

    def __init__(self, seen: str | None = None) -> None:
        self.seen = seen

    def __reduce__(self) -> tuple[type[Seeing], tuple[str | None, ...]]:
        """Made anew where it is unpickled."""
        return _Looking, ()

    def __call__(self) -> Worker:
        """The worker."""
        return self._see

    def _see(self, job: Job) -> Outcome:
        return Outcome((Response("task", "item", {"square": int(self.seen or -1)}),))


class _Looking(Seeing):
    def __init__(self) -> None:
        super().__init__(os.environ.get("CUDA_VISIBLE_DEVICES"))


def make_stillborn() -> Worker:
    """No worker and no message: the process ends."""
    os._exit(7)


class Dying:
    """Is killed on some jobs, once each or always; files remember. Calling it is working.

    Args:
        folder: Where the files lie.
        once: Numbers of the jobs that kill one worker.
        always: Numbers of the jobs that kill every worker.
    """

    def __init__(self, folder: Path, once: Sequence[int], always: Sequence[int]) -> None:
        self.folder = folder
        self.once = once
        self.always = always

    def __call__(self, job: Job) -> Outcome:
        """Dies or squares."""
        trace = self.folder / f"died-{job.recipe.seed}"
        if job.recipe.seed in self.always or (job.recipe.seed in self.once and not trace.exists()):
            trace.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return square(job)


class Sleeping:
    """Leaves its process id in a folder, and sleeps far longer than any test on some jobs. Calling it is working.

    Args:
        folder: Gets an empty file ``PID.pid`` when the worker is made, ``PID.asleep`` when it sleeps.
        numbers: Numbers of the jobs on which it sleeps.
    """

    def __init__(self, folder: Path, numbers: Sequence[int]) -> None:
        self.folder = folder
        self.numbers = numbers
        (folder / f"{os.getpid()}.pid").touch()

    def __call__(self, job: Job) -> Outcome:
        """Sleeps or squares."""
        if job.recipe.seed in self.numbers:
            (self.folder / f"{os.getpid()}.asleep").touch()
            time.sleep(600)
        return square(job)


def sleeping_program(
    spec: ExecutorSpec, options: Mapping[str, Any], folder: Path, before: Sequence[str] = ()
) -> subprocess.Popen[str]:
    """A program of its own whose workers sleep, at the head of a process group.

    Args:
        spec: The executor under test.
        options: Its options.
        folder: Where the program lies, and where its workers leave their traces.
        before: Words that start another program in place, which goes on as this one.
    """
    script = folder / "program.py"
    script.write_text(_PROGRAM)
    return subprocess.Popen(
        [*before, sys.executable, str(script), spec.make.__module__, json.dumps(options), str(folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


_PROGRAM = """
import functools, importlib, json, signal, sys
from pathlib import Path
from evomerge.contracts import workers
from evomerge.contracts.watching import raised
from evomerge.executors import run

if __name__ == "__main__":
    # A shell starts its background jobs with SIGINT ignored, and Python then leaves it so.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    module, options, folder = sys.argv[1:]
    spec = importlib.import_module(module).EXECUTOR
    asleep = functools.partial(workers.Sleeping, Path(folder), (1, 2))
    executor = spec.make(asleep, spec.complete(json.loads(options)))
    try:
        list(run(executor, [workers.job(1), workers.job(2)]))
    except KeyboardInterrupt:
        executor.close()
        print("interrupted and closed")
"""
