"""Workers that compute, fail, and die, for real processes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from evomerge.errors import InputError
from evomerge.evaluation import Ask, Job, Outcome, Response
from evomerge.executors import Worker
from evomerge.recipe import CheckpointRef, Group, ParameterGroups, Recipe


def job(number: int) -> Job:
    """A job that carries a number as its recipe's seed."""
    groups = ParameterGroups((Group("model"),))
    recipe = Recipe("linear", {}, (CheckpointRef("a"),), None, groups, {"weight": [[1.0]]}, seed=number)
    return Job.of(recipe, {"task": ("item",)}, Ask("search", 1, number))


def square(job: Job) -> Outcome:
    """The number squared, and which process did it."""
    return Outcome((Response("task", "item", {"square": job.recipe.seed**2, "pid": os.getpid()}),))


def make_square() -> Worker:
    return square


def raising(job: Job) -> Outcome:
    if job.recipe.seed == 1:
        raise MemoryError("no room")
    if job.recipe.seed == 2:
        raise RuntimeError("no luck")
    return square(job)


def make_raising() -> Worker:
    return raising


def make_refusing() -> Worker:
    raise InputError(["the first thing", "the second thing"])


def make_broken() -> Worker:
    raise OSError("the disk is gone")


def make_stillborn() -> Worker:
    os._exit(7)


def killed_by_three(job: Job) -> Outcome:
    if job.recipe.seed == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return square(job)


def make_always_killed() -> Worker:
    return killed_by_three


class DyingOnce:
    """Is killed on each of some jobs once; a file remembers.

    Args:
        folder: Where the files lie.
        numbers: The jobs on which it dies.
    """

    def __init__(self, folder: Path, numbers: tuple[int, ...]) -> None:
        self.folder = folder
        self.numbers = numbers

    def __call__(self) -> Worker:
        return self.work

    def work(self, job: Job) -> Outcome:
        trace = self.folder / f"died-{job.recipe.seed}"
        if job.recipe.seed in self.numbers and not trace.exists():
            trace.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return square(job)


class Sleeping:
    """Writes its process id to a folder, then sleeps far longer than any test.

    Args:
        folder: Where the ids go.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self) -> Worker:
        return self.work

    def work(self, job: Job) -> Outcome:
        if job.recipe.seed == 0:
            return square(job)
        temporary = self.folder / f".{os.getpid()}"
        temporary.touch()
        temporary.rename(self.folder / f"{os.getpid()}.pid")
        time.sleep(600)
        return square(job)
