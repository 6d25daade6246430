"""Real processes that run a search and are killed by SIGKILL at a chosen instant.

A `Blow` names the instant. At the disk the process writes part of a line, waits until the disk has it, and then kills
itself: what is on disk is what a kill within that write leaves. Nothing else of the program is changed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import evomerge.store.files
from evomerge import executors
from evomerge.evaluation import Constraint
from evomerge.executors import Executor
from evomerge.search import AllocationSettings, Budgets, PromoteSettings, Searcher, SearchPlan, run
from evomerge.search.searchers import Observation, Proposal, Selection
from evomerge.store import RunStore
from evomerge.store.files import Log
from tests.forks import SERVER
from tests.search.analytic import Analytic, analytic, in_rounds, more_items, plan
from tests.search.shuffled import Shuffled

CONSTRAINTS = (
    Constraint("north.acc >= base - 0.25", "north.acc", ">=", -0.25, "base"),
    Constraint("south.loss <= 0.12", "south.loss", "<=", 0.12),
)


@dataclass(frozen=True)
class Blow:
    """When a process is killed.

    Attributes:
        what: ``record``, ``responses`` or ``item_set`` of a split (``record:search``), ``ask``, or ``turn:search``, the
            line of an ask in an asynchronous search.
        count: The how-manieth of them in this process.
        share: How much of the line reaches the disk.
    """

    what: str
    count: int
    share: float = 0.0


# Windows that move and grow, survivors asked again, races of each kind; estimates from all answers, of whole clusters.
ALLOCATIONS = {
    "rotating": AllocationSettings("rotating", items=6, options={"carried": 0.3}, growth="converging"),
    "raced": AllocationSettings("informative", items=18, race="sequential"),
    "halved": AllocationSettings("stratified", items=18, race="halving", rungs=2),
    "estimated": AllocationSettings("informative", items=20, race="sequential", rungs=2, estimator="posterior"),
}


def search_plan(name: str, evaluations: int = 26) -> SearchPlan:
    """Every kind of candidate: good, infeasible, failed, and repeated.

    Args:
        name: A searcher's, or with an allocation after it: ``nsga2+rotating``; or asynchronous with so many at work:
            ``nsga2@4``; or in so many rounds: ``nsga2^3``.
        evaluations: The budget.
    """
    name, _, rounds = name.partition("^")
    made = _one_round(name, evaluations)
    return in_rounds(made, int(rounds), 11, elites=3) if rounds else made


def _one_round(name: str, evaluations: int) -> SearchPlan:
    searcher, _, at_work = name.partition("@")
    searcher, _, allocation = searcher.partition("+")
    budgets = Budgets(evaluations=evaluations, max_failures=50)
    made = replace(
        plan(searcher, budgets=budgets, seed=3, constraints=CONSTRAINTS, depth="linear"),
        finalists=3,
        steady=8 if at_work else None,
        drafts=True,
    )
    if not allocation:
        return made
    items = more_items(24)
    pairs = {item: f"{task} {row // 2}" for task, ids in items["search"].items() for row, item in enumerate(ids)}
    made = replace(made, items=items, allocation=ALLOCATIONS[allocation])
    if allocation != "estimated":
        return made
    selection = {task: tuple(f"v{item}" for item in ids) for task, ids in items["search"].items()}
    items = {**items, "selection": selection}
    return replace(made, items=items, clusters=pairs, promotion=PromoteSettings(None, "ocba"))


def run_search(folder: Path, name: str, evaluations: int, blow: Blow | None) -> None:
    """The whole life of one process."""
    work = search_plan(name, evaluations)
    if blow is not None and blow.what == "ask":
        work = replace(work, searcher=partial(_dying_at_ask, work.searcher, blow.count))
    elif blow is not None:
        evomerge.store.files.Log.append = _dying_at_write(evomerge.store.files.Log.append, blow)
    with RunStore.open(folder, {"searcher": name}, {"searcher": name}) as store:
        run(work, executor_of(name), store)


def executor_of(name: str) -> Executor:
    """The executor of a search; of an asynchronous one candidates end in an order that nothing decides."""
    _, _, at_work = name.partition("@")
    make_worker = worker_of(name)
    return Shuffled(make_worker, int(at_work)) if at_work else executors.make("local", make_worker)


def worker_of(name: str) -> Callable[[], Analytic]:
    """Makes the worker of a search; where items differ, so do answers to them. It writes which drafts it was given."""
    return partial(analytic, 0.2, noise=0.05 if "+" in name else 0.0, writes=True)


def process(folder: Path, name: str, evaluations: int = 26, blow: Blow | None = None) -> int | None:
    """Runs a search in a process of its own.

    Returns:
        Its exit code, -9 when it was killed.
    """
    child = SERVER.Process(target=run_search, args=(folder, name, evaluations, blow))
    child.start()
    child.join()
    return child.exitcode


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


def _dying_at_write(write: Callable[..., int], blow: Blow) -> Callable[..., int]:
    kind, split = blow.what.split(":")
    first = {"search": "", "selection": "v", "test": "t"}[split]
    place, mark = {
        "record": ("records", f'"split":"{split}"'),
        "responses": ("responses", f'"item":"{first}'),
        "item_set": ("item_sets.jsonl", f'["{first}'),
        "turn": ("records", '"asked":['),
    }[kind]
    left = [blow.count]

    def append(log: Log, data: bytes, *, sync: bool = True) -> int:
        note = kind != "turn" and b'"told":[' in data
        if place in (log.path.parent.name, log.path.name) and mark.encode() in data and not note:
            left[0] -= 1
            if left[0] == 0:
                write(log, data[: int(blow.share * len(data))])
                _die()
        return write(log, data, sync=sync)

    return append


def _dying_at_ask(make: Any, count: int, *arguments: Any) -> Searcher:
    return Dying(make(*arguments), count)


class Dying:
    """A searcher whose process is killed between two batches.

    Args:
        searcher: The searcher behind it.
        count: At which ask.
    """

    def __init__(self, searcher: Searcher, count: int) -> None:
        self.name = searcher.name
        self._searcher = searcher
        self._left = count

    def ask(self, n: int | None = None) -> list[Proposal]:
        self._left -= 1
        return self._searcher.ask(n) if self._left else _die()

    def tell(self, observations: Sequence[Observation]) -> None:
        self._searcher.tell(observations)

    def selection(self) -> Selection:
        return self._searcher.selection()
