"""Seconds that a search will take, from candidates that are merged and scored here as the search scores its own.

Nothing is left on disk: what the method prepares is kept in memory as far as there is room, and answers are dropped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from statistics import mean

import numpy as np
from numpy.typing import NDArray

from evomerge import executors
from evomerge.evaluation import Ask, Job, Outcome, count_items
from evomerge.executors import Executor, ExecutorError, ExecutorSettings
from evomerge.merging import seconds_per_byte
from evomerge.run import environment, paths
from evomerge.run.assemble import Assembly
from evomerge.run.forecast.elites import KeptElites
from evomerge.run.recipes.searching import searcher_settings
from evomerge.run.run_config import child_seed
from evomerge.run.runtime import tuned, worker_settings
from evomerge.run.search import make_executor, search_plan
from evomerge.search import SearchPlan, searchers
from evomerge.search.allocation import policies

__all__ = ["Duration", "NotMeasured", "Pace", "duration", "measure"]


class NotMeasured(RuntimeError):
    """Why there is no measurement: the candidates or the workers failed, which a search would have to live with."""


@dataclass(frozen=True)
class Pace:
    """One wave of candidates, as many as run at one time, after a first wave that warmed everything up.

    Attributes:
        start: Wall seconds until the first wave was over: workers started, models loaded, one candidate each.
        wave: Wall seconds of the wave.
        capacity: Candidates in it.
        items: Items that each was asked: a window, or all of the search items.
        merge: Mean seconds of merging a candidate, inside a worker; 0 where the executor does not say.
        score: The same of scoring it.
        elite: Seconds of merging one elite for a candidate of a later round; 0 of a search of one round.
        per_byte: Seconds of keeping a byte on disk where the run's folder will be; 0 where nothing is, or not known.
    """

    start: float
    wave: float
    capacity: int
    items: int
    merge: float
    score: float
    elite: float = 0.0
    per_byte: float = 0.0

    def seconds(self, candidates: int, items: int) -> float:
        """Wall seconds of some candidates at one go on so many items each; scoring takes as long as it has items."""
        share = self.score / (self.merge + self.score) if self.merge + self.score else 1.0
        length = items / self.items if self.items else 1.0  # functions of the whole model see no items
        return math.ceil(candidates / self.capacity) * self.wave * (1.0 - share + share * length)


@dataclass(frozen=True)
class Duration:
    """Wall seconds of a search by phase.

    Attributes:
        start: Until workers are ready, with a first candidate each.
        search: Base, experts and their average, then the candidates; None where no budget counts these.
        candidates: How many candidates that are.
        elites: Seconds in ``search`` in which models of later rounds' elites are made.
        promotion: The comparison on selection items.
        confirmation: The finalists on held-out items.
    """

    start: float
    search: float | None
    candidates: int | None
    promotion: float
    confirmation: float
    elites: float = 0.0

    @property
    def whole(self) -> float | None:
        """All phases; None where no budget counts candidates."""
        return None if self.search is None else self.start + self.search + self.promotion + self.confirmation


def measure(assembly: Assembly) -> Pace:
    """Merges and scores two waves of random candidates on the items of a search, in workers as a search has them.

    Raises:
        InputError: If a worker cannot be made because of what the user asked for.
        NotMeasured: If the candidates fail, or workers die.
    """
    folder = paths.expanded(assembly.config.run_dir) if assembly.config.run_dir else Path("runs") / "none"
    settings, _ = tuned(worker_settings(assembly, 1), assembly, folder, lambda _: None)
    spec = executors.load(assembly.config.executor.name)
    if spec.external:  # workers join a run that has begun; what is measured is one of them
        assembly = replace(assembly, config=replace(assembly.config, executor=ExecutorSettings()))
    plan, random = search_plan(assembly), np.random.default_rng(child_seed(assembly.config.seed, "pace"))
    started = time.perf_counter()
    executor = make_executor(assembly, settings, folder)
    try:
        count = executor.capacity
        waves = [_jobs(assembly, plan, number, random.random((count, plan.genome.n_var))) for number in (1, 2)]
        first = _outcomes(executor, waves[0])
        ready = time.perf_counter()
        outcomes = _outcomes(executor, waves[1])
        ended = time.perf_counter()
        later = _outcomes(executor, _of_later_round(plan, random))
    except ExecutorError as error:
        raise NotMeasured(str(error)) from error
    finally:
        executor.close()
        environment.give_back_memory()
    if spec.needs_model and (failed := [outcome.error for outcome in [*first, *outcomes] if outcome.error is not None]):
        raise NotMeasured(f"a candidate failed: {failed[0].kind}: {failed[0].message}")
    merge, score = (mean(outcome.seconds.get(name, 0.0) for outcome in outcomes) for name in ("merge", "score"))
    items, elite, per_byte = count_items(_window(plan)), 0.0, 0.0
    if later:
        per_byte, wanted = seconds_per_byte(folder), plan.rounds.wanted(2)
        elite = max(later[0].seconds.get("merge", 0.0) - merge, 0.0) / wanted
    return Pace(ready - started, ended - ready, count, items, merge, score, elite, per_byte)


def _jobs(assembly: Assembly, plan: SearchPlan, number: int, genomes: NDArray[np.float64]) -> list[Job]:
    items = _window(plan)
    recipes = [plan.genome.decode(x) for x in genomes]
    return [Job.of(recipe, items, Ask("search", number, index)) for index, recipe in enumerate(recipes)]


def _of_later_round(plan: SearchPlan, random: np.random.Generator) -> list[Job]:
    """A candidate of the second round, with as many random elites as it may have; none of a search of one round."""
    if plan.next_space is None:
        return []
    rows = random.random((plan.rounds.wanted(2), plan.genome.n_var))
    genome = plan.next_space(2, [plan.genome.decode(x) for x in rows]).genome
    recipe = genome.decode(random.random(genome.n_var))
    return [Job.of(recipe, _window(plan), Ask("search", 3, 0))]


def _outcomes(executor: Executor, jobs: Sequence[Job]) -> list[Outcome]:
    return [result.outcome for result in executors.run(executor, jobs)]


def duration(assembly: Assembly, pace: Pace, elites: KeptElites | None = None) -> Duration:
    """The phases of a search at a measured pace.

    A batch waits for its last candidate, so that workers idle where their number does not divide it.

    Args:
        assembly: The search.
        pace: The pace.
        elites: Models of later rounds' elites; None where there are none.
    """
    plan = search_plan(assembly)
    models = len({recipe.digest for recipe in plan.baselines.values()})
    candidates, search, making = _candidates(assembly, plan, pace), None, 0.0
    if candidates is not None:
        pool = count_items(plan.items["search"])
        share = plan.rounds.evaluations or 0
        making = (elites or KeptElites()).seconds(pace.elite, candidates, share, pace.capacity, pace.per_byte)
        search = pace.seconds(models, pool) + sum(_batches(assembly, plan, candidates, pace)) + making
        if plan.budgets.seconds is not None:
            search = min(search, plan.budgets.seconds)
    compared, confirmed = plan.shortlisted, plan.finalists if plan.asks("test") else 0
    return Duration(
        start=pace.start,
        search=plan.budgets.seconds if search is None else search,
        candidates=candidates,
        promotion=_promotion(plan, pace, models) if compared else 0.0,
        confirmation=pace.seconds(models + confirmed, count_items(plan.items["test"])) if confirmed else 0.0,
        elites=making,
    )


def _batches(assembly: Assembly, plan: SearchPlan, candidates: int, pace: Pace) -> Iterator[float]:
    """Wall seconds of each batch, survivors that are asked the batch's window included; no race cuts any short."""
    chooser, again = plan.chooser, _asked_again(assembly)
    # A searcher among models learns from these alone, which are baselines, before it merges any.
    probe = policies.load(assembly.config.allocation.policy).probe and chooser is None
    kept = None if chooser is None else chooser.selection().places
    for number, size in enumerate(_sizes(assembly, plan, candidates)):
        items = count_items(plan.items["search"]) if probe and not number else pace.items
        yield pace.seconds(size, items)
        if number and again:
            yield pace.seconds(size if kept is None else kept, pace.items)


def _sizes(assembly: Assembly, plan: SearchPlan, candidates: int) -> Iterator[int]:
    """How many new candidates each batch has, the last one of the budget, and of each round, cut to it."""
    whole = assembly.config.asynchronous  # nobody waits for a batch
    usual = candidates if whole else searcher_settings(assembly.config).population or candidates
    sizes = plan.batches() or repeat(max(usual, 1))
    for share in [plan.rounds.evaluations or 0] * (plan.rounds.count - 1) + [candidates]:
        left = min(share, candidates)
        while left > 0 and (size := min(next(sizes, 0), left)):
            yield size
            left, candidates = left - size, candidates - size


def _asked_again(assembly: Assembly) -> bool:
    """Whether survivors of earlier batches are asked the windows of later ones, too."""
    spec = searchers.load(assembly.config.searcher.name)
    return not assembly.config.allocation.plain and spec.retell


def _window(plan: SearchPlan) -> dict[str, tuple[str, ...]]:
    """As many of the search items as candidates are asked in one batch."""
    return {task: ids[: plan.allocation.items or len(ids)] for task, ids in plan.items["search"].items()}


def _promotion(plan: SearchPlan, pace: Pace, models: int) -> float:
    """Seconds of the comparison on selection items; candidates are asked a share of them where they are rationed."""
    items = count_items(plan.items["selection"])
    if plan.promotion.allocation == "equal":
        return pace.seconds(models + plan.shortlisted, items)
    return pace.seconds(models, items) + pace.seconds(plan.shortlisted, round(plan.promotion.share * items))


def _candidates(assembly: Assembly, plan: SearchPlan, pace: Pace) -> int | None:
    """How many candidates budgets allow and the searcher can propose; None where neither tells."""
    budgets = plan.budgets
    limits = [limit for limit in (budgets.evaluations, plan.most) if limit is not None]
    # Of those who choose among models it is not known how many are asked again: this is the most that is affordable.
    each = max(pace.items, 1) * (2 if _asked_again(assembly) and plan.pool is None else 1)
    limits += [] if budgets.items is None else [budgets.items // each]
    return min(limits, default=None)
