"""Searchers: who proposes the next genomes.

Every searcher speaks ask and tell in the unit cube, minimises, owns its random generator, and is a function of its
settings and of what it was told: asked and told the same, it proposes the same. That makes resuming a replay.

How constraints (``G <= 0``) are met:

========  ===========  ==========  =====================================================================================
name      objectives   constraints  how
========  ===========  ==========  =====================================================================================
ga        one          native      feasible before infeasible, then less violation (Deb 2000), in selection and survival
de        one          native      the same, between target and trial
pso       one          native      the same, for personal and global bests
cmaes     one          penalty     infeasible: worst feasible value seen plus the violation, so after all feasible ones
nsga2     two or more  native      feasible before infeasible, then less violation
nsga3     two or more  native      the same
smsemoa   two or more  native      the same
random    any          none        it learns from nothing
========  ===========  ==========  =====================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evomerge.errors import InputError, suggest

__all__ = ["SEARCHERS", "Searcher", "SearcherFactory", "SearcherSettings", "factory", "make"]

Array = NDArray[np.float64]


class Searcher(Protocol):
    """Proposes genomes and learns from their values."""

    name: str

    def ask(self) -> Array:
        """Genomes in [0, 1], ``(n, n_var)``; ``n`` may vary and is 0 when the searcher finds nothing new to propose."""
        ...

    def tell(self, F: Array, G: Array) -> None:
        """Values of all genomes of the last `ask`: objectives to minimise ``(n, n_obj)``, ``G <= 0`` ``(n, n_con)``."""
        ...


@dataclass(frozen=True)
class SearcherSettings:
    """What a user can set of a searcher.

    Attributes:
        population: Genomes per batch; None for the searcher's own choice, which suits expensive evaluations.
        seed: Root of its random numbers, 0 or more.
        options: The searcher's own options, see `OPTIONS`.
    """

    population: int | None = None
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)


SearcherFactory = Callable[[int, int, int, Array], Searcher]  # n_var, n_obj, n_con, starts

_VARIATION = {
    "crossover_probability": (0.9, 0.0, 1.0),
    "crossover_eta": (15.0, 0.0, 1000.0),
    "mutation_probability": (0.9, 0.0, 1.0),
    "mutation_eta": (20.0, 0.0, 1000.0),
}
# Option: default, smallest and largest value.
OPTIONS: dict[str, dict[str, tuple[float, float, float]]] = {
    "ga": _VARIATION,
    "de": {"weight": (0.7, 0.0, 2.0), "crossover": (0.5, 0.0, 1.0)},
    "pso": {"inertia": (0.9, 0.0, 2.0), "cognitive": (2.0, 0.0, 4.0), "social": (2.0, 0.0, 4.0)},
    "nsga2": _VARIATION,
    "nsga3": _VARIATION,
    "smsemoa": _VARIATION,
    "cmaes": {"sigma": (0.25, 1e-6, 1.0)},
    "random": {},
}
SEARCHERS = tuple(OPTIONS)
SINGLE = ("ga", "de", "pso", "cmaes")
MULTI = ("nsga2", "nsga3", "smsemoa")
POPULATION = 16
SMALLEST_POPULATION = 5  # differential evolution draws four members besides the target


def make(
    name: str, n_var: int, n_obj: int, n_con: int, settings: SearcherSettings, starts: ArrayLike | None = None
) -> Searcher:
    """Makes a searcher.

    Args:
        name: One of `SEARCHERS`.
        n_var: Number of genes.
        n_obj: Number of objectives.
        n_con: Number of constraints, 0 or more.
        settings: Population, seed, options.
        starts: Genomes that the first batch holds, ``(k, n_var)``; the rest of it is a seeded Latin hypercube. More
            starts than the population make the first batch larger.

    Returns:
        The searcher.

    Raises:
        InputError: if the name or an option is unknown, a value is out of range, or the searcher does not fit the
            number of objectives.
    """
    problems = [*_problems(name, settings)]
    if not problems and name in SINGLE and n_obj != 1:
        problems.append(
            f"searcher {name} is for one objective and there are {n_obj}; use {', '.join(MULTI)} or random, "
            "or give one objective as a weighted sum"
        )
    if not problems and name in MULTI and n_obj < 2:
        problems.append(f"searcher {name} is for two or more objectives and there is {n_obj}; use {', '.join(SINGLE)}")
    if problems:
        raise InputError(problems)
    rows = np.zeros((0, n_var)) if starts is None else np.asarray(starts, dtype=np.float64).reshape(-1, n_var)
    options = {option: settings.options.get(option, default[0]) for option, default in OPTIONS[name].items()}
    # Imported here so that the tables above can be read without loading pymoo.
    if name == "cmaes":
        from evomerge.search.searchers.cmaes import CMAES

        return CMAES(n_var, settings.population, generator(settings.seed, name), options["sigma"], rows)
    population = settings.population or POPULATION
    first = first_batch(rows, population, generator(settings.seed, "first batch"))
    if name == "random":
        return RandomSearch(n_var, population, generator(settings.seed, name), first)
    from evomerge.search.searchers._shared.pymoo_adapter import Evolution

    return Evolution(name, (n_var, n_obj, n_con), population, settings.seed, options, first)


def factory(name: str, settings: SearcherSettings) -> SearcherFactory:
    """A `SearcherFactory` for `SearchPlan`: everything of `make` but what the plan knows.

    Raises:
        InputError: as `make`, for what can be told without a plan.
    """
    problems = list(_problems(name, settings))
    if problems:
        raise InputError(problems)
    return partial(_made, name, settings)


def _made(name: str, settings: SearcherSettings, n_var: int, n_obj: int, n_con: int, starts: Array) -> Searcher:
    return make(name, n_var, n_obj, n_con, settings, starts)


def _problems(name: str, settings: SearcherSettings) -> list[str]:
    if name not in SEARCHERS:
        return [f"unknown searcher {name!r}; known are {', '.join(SEARCHERS)}{suggest(name, SEARCHERS)}"]
    problems = []
    known = OPTIONS[name]
    for option, value in settings.options.items():
        if option not in known:
            listed = ", ".join(known) or "none"
            problems.append(f"searcher {name} has no option {option!r}; its options: {listed}{suggest(option, known)}")
            continue
        _, low, high = known[option]
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            problems.append(f"searcher option {option} is {value!r}; expected a number between {low:g} and {high:g}")
    population, seed = settings.population, settings.seed
    if population is not None and (not isinstance(population, int) or population < SMALLEST_POPULATION):
        problems.append(f"searcher population is {population!r}; expected an integer of at least {SMALLEST_POPULATION}")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        problems.append(f"seed is {seed!r}; expected an integer of 0 or more")
    return problems


def generator(seed: int, purpose: str) -> np.random.Generator:
    """The random numbers of one purpose; different purposes of one seed are independent."""
    return np.random.default_rng([seed, *purpose.encode()])


def first_batch(starts: Array, population: int, random: np.random.Generator) -> Array:
    """Distinct starts, filled up to the population with a Latin hypercube (McKay et al. 1979, doi:10.2307/1268522)."""
    kept = list(dict.fromkeys(row.tobytes() for row in starts))
    rows = np.array([np.frombuffer(row) for row in kept]).reshape(len(kept), starts.shape[1])
    missing = max(population - len(rows), 0)
    cells = np.empty((missing, starts.shape[1]))
    for gene in range(starts.shape[1]):
        cells[:, gene] = random.permutation(missing)
    return np.concatenate([rows, (cells + random.random(cells.shape)) / max(missing, 1)])


class RandomSearch:
    """Uniform genomes: the baseline that every algorithm has to beat.

    Args:
        n_var: Number of genes.
        population: Genomes per batch.
        random: Its random numbers.
        first: The first batch.
    """

    name = "random"

    def __init__(self, n_var: int, population: int, random: np.random.Generator, first: Array) -> None:
        self._shape = (population, n_var)
        self._random = random
        self._first: Array | None = first

    def ask(self) -> Array:
        """The first batch, then uniform ones."""
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return self._random.random(self._shape)

    def tell(self, F: Array, G: Array) -> None:
        """Learns nothing."""
