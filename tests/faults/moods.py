"""Workers and a user's metric whose candidates fail in every way there is, told by its place or its weights alone."""

from __future__ import annotations

import os
import random
import resource
import signal
import time
from dataclasses import dataclass, field

from evomerge.evaluation import Job, Outcome, Response
from experiments.overhead.analytic import Analytic

SHARE = 0.3  # of candidates that fail


def way_of(batch: int, index: int) -> str | None:
    """How the candidate at a place of the search fails; None for seven in ten, and for baselines."""
    draw = random.Random(f"22 {batch} {index}").random()
    if batch == 0 or draw >= SHARE:
        return None
    # Those that cost a worker or wait for a limit are the fewest.
    return ("nan", "raise", "memory", "nan", "raise", "memory", "abort", "hang")[int(8 * draw / SHARE)]


def misbehave(way: str) -> None:
    """Fails in a way, but for ``nan``."""
    if way == "raise":
        raise RuntimeError("no luck")
    if way == "memory":
        raise MemoryError("no room")
    if way == "abort":
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.abort()
    if way == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if way == "hang":
        time.sleep(600)


@dataclass(frozen=True)
class Moody:
    """A worker by formulas, whose candidates fail at random."""

    answer: Analytic = field(default_factory=Analytic)

    def __call__(self, job: Job) -> Outcome:
        """Scores a job or fails; baselines never do."""
        way = way_of(job.ask.batch, job.ask.index) if job.split == "search" else None
        if way is None:
            return self.answer(job)
        misbehave(way)
        asked = ((task, item) for task, ids in job.items.items() for item in ids)
        metric = {"north": "acc", "south": "loss"}
        return Outcome(tuple(Response(task, item, {metric[task]: float("nan")}) for task, item in asked))


def moody(model: object, tokenizer: object) -> float:
    """A user's metric that does the same to merged models, told by their weights."""
    total = abs(float(sum(p.double().sum() for p in model.parameters())))  # type: ignore[attr-defined]
    way = (None, None, None, "nan", None, "raise", None, "memory", "abort", "hang")[int(total * 1e4) % 10]
    if way is not None:
        misbehave(way)
    return float("nan") if way == "nan" else total % 1.0
