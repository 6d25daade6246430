"""Searchers: the algorithms that propose candidates. The folder is the registry, a file's name its searcher's name.

Every searcher speaks ask and tell (`Searcher`): it proposes genomes in the unit cube, minimises, owns its random
generator, and is a function of its settings and of what it was asked and told. That makes resuming a replay.

A new searcher is one file, ``evomerge/search/searchers/mysearcher.py``, with ``SEARCHER = SearcherSpec(...)``: its
name, the number of objectives it takes, how it handles constraints, its options with defaults, ranges and help, and
``make``, which imports the heavy libraries and makes the searcher. An algorithm that works in whole batches subclasses
`Generational` and sees arrays alone; one that can be asked and told in pieces (``partial=True``, for asynchronous
searches) `Steady`; one of pymoo's is a call of ``_shared.pymoo_adapter``. One that chooses among models instead of
searching numbers proposes recipes (``recipes=True``), which the problem's `ExpertPool` makes. A searcher that would
rather return something else than its best observation has a method `Recommends.recommend`, one that knows how much it
can still propose `Bounded.left`, one that knows the sizes of its batches `Paced.batches`. Names with a leading
underscore are shared parts.
Besides, the guide's table of searchers (`evomerge/search/README.md`) gets what `table` says; nothing else is edited:
`load` finds the file, the command line takes ``searcher.name=mysearcher``, and ``tests/contracts`` runs the contract
(:mod:`evomerge.contracts.searcher`) on it. Its own test holds what the contract cannot know, such as a step worked by
hand from the paper.
"""

from __future__ import annotations

from functools import partial

from evomerge.errors import InputError
from evomerge.registry import Registry
from evomerge.search.searchers._shared.archives.averages import average_of
from evomerge.search.searchers._shared.archives.pushes import Push, Pushes, pushed, with_pushes
from evomerge.search.searchers._shared.archives.record import CellRecord
from evomerge.search.searchers._shared.generational import Generational, Parents
from evomerge.search.searchers._shared.initial_population import generator, initial_population
from evomerge.search.searchers._shared.pool import ExpertPool
from evomerge.search.searchers._shared.protocol import (
    Array,
    Bounded,
    Observation,
    Paced,
    Problem,
    Proposal,
    Recommends,
    Searcher,
    SearcherFactory,
    Selection,
)
from evomerge.search.searchers._shared.span import ModelSpan
from evomerge.search.searchers._shared.spec import ANY, ONE, SEVERAL, SearcherSettings, SearcherSpec
from evomerge.search.searchers._shared.steady import Steady

__all__ = [
    "ANY",
    "ONE",
    "SEVERAL",
    "Array",
    "Bounded",
    "CellRecord",
    "ExpertPool",
    "Generational",
    "ModelSpan",
    "Observation",
    "Paced",
    "Parents",
    "Problem",
    "Proposal",
    "Push",
    "Pushes",
    "Recommends",
    "Searcher",
    "SearcherFactory",
    "SearcherSettings",
    "SearcherSpec",
    "Selection",
    "Steady",
    "average_of",
    "factory",
    "fitting",
    "generator",
    "initial_population",
    "load",
    "make",
    "misfit",
    "names",
    "pushed",
    "table",
    "unsteady",
    "with_pushes",
]

_REGISTRY = Registry[SearcherSpec](__name__, __path__, "SEARCHER", "searcher")
names = _REGISTRY.names
load = _REGISTRY.load
_COUNTS = {ONE: "one", SEVERAL: "several", ANY: "any"}


def make(name: str, problem: Problem, settings: SearcherSettings) -> Searcher:
    """Makes a searcher.

    Args:
        name: One of `names`.
        problem: What it is made for.
        settings: Population, seed, options.

    Raises:
        InputError: If the name or an option is unknown, a value is out of range, or the searcher does not take that
            number of objectives.
    """
    spec = load(name)
    problems = spec.problems(settings) + misfit(name, problem.n_obj, problem.n_measures)
    if spec.recipes and problem.pool is None:
        problems.append(
            f"searcher {name} chooses among the models of a search: give models= and no recipe=, a method that merges "
            "two or more, and leave tokenizer and embeddings as they are"
        )
    if problems:
        raise InputError(problems)
    return spec.make(problem, spec.complete(settings))


def factory(name: str, settings: SearcherSettings) -> SearcherFactory:
    """A `SearcherFactory` for `SearchPlan`: `make` without the problem, which the loop knows.

    Raises:
        InputError: As `make`, for what can be told without a problem.
    """
    problems = load(name).problems(settings)
    if problems:
        raise InputError(problems)
    return partial(_made, name, settings)


def fitting(n_obj: int) -> tuple[str, ...]:
    """Names of the searchers that take this number of objectives and no measures."""
    return tuple(name for name in names() if load(name).fits(n_obj) and not load(name).measures)


def misfit(name: str, n_obj: int, n_measures: int | None = 0) -> list[str]:
    """Why a searcher does not take this number of objectives or measures, and which ones do; empty if it does.

    Args:
        name: Its name.
        n_obj: Number of objectives.
        n_measures: Number of measures; None as long as a searcher that needs some may get them by default.
    """
    spec = load(name)
    if spec.measures and n_measures == 0:
        return [f"searcher {name} needs measures, measures=[t1.acc,t2.acc]; without: {', '.join(fitting(n_obj))}"]
    if n_measures and not spec.measures:
        able = ", ".join(other for other in names() if load(other).measures)
        return [f"measures: searcher {name} keeps no archive over measures; leave them out, or use {able}"]
    if spec.fits(n_obj):
        return []
    count = f"there are {n_obj}" if n_obj != 1 else "there is 1"
    weighed = ", or give one objective as a weighted sum" if n_obj > 1 else ""
    return [f"searcher {name} is for {spec.objectives_text} and {count}; use {', '.join(fitting(n_obj))}{weighed}"]


def unsteady(name: str, n_obj: int) -> list[str]:
    """Why a searcher cannot be asked for one candidate at a time, and which ones of its kind can; empty if it can."""
    spec = load(name)
    if spec.partial:
        return []
    like = [other for other in map(load, names()) if other.fits(n_obj) and other.measures == spec.measures]
    able = [other.name for other in like if other.partial]
    why = f": {spec.whole}" if spec.whole else ""
    return [f"searcher {name} proposes whole batches and waits for all of their values{why}; use {', '.join(able)}"]


def table() -> str:
    """All searchers with how they handle constraints, as a Markdown table."""
    rows = [
        f"| `{spec.name}` | {spec.title} | {_COUNTS.get(spec.objectives, spec.objectives_text)} | "
        f"{spec.constraints}: {spec.handling} |"
        for spec in map(load, names())
    ]
    return "\n".join(["| searcher | algorithm | objectives | constraints |", "|---|---|---|---|", *rows])


def _made(name: str, settings: SearcherSettings, problem: Problem) -> Searcher:
    return make(name, problem, settings)
