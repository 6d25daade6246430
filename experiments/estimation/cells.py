"""What is ranked: the merges of one kind in one response table, by their answers to one task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from evomerge.executors._shared.response_table import ResponseTable

Array = NDArray[np.float64]
Rows = NDArray[np.int_]

# Which merges of a table are a population, and which are an outside pool, as leaderboard models are to a merge.
POPULATIONS = {
    "local": (("local",), ("random", "grid")),
    "local_search": (("local_search",), ("random", "grid")),
    "search": (("nsga2", "cmaes"), ("random", "grid")),
    "broad": (("random", "grid"), ("local", "local_search")),
}
LOCAL = ("local", "local_search")
STREAM = ("nsga2", "cmaes", "local", "local_search")  # as searches converge
LEAST_SPREAD = 0.0075  # standard deviation of true scores below which there is nothing to rank
PROBES = 12  # members of the population that have answered everything before
TARGETS = 28  # members that are ranked
FEWEST = 8  # targets


@dataclass(frozen=True, eq=False)
class Cell:
    """A population on a task.

    Attributes:
        table: Name of the response table.
        task: Name of the task.
        population: A key of :data:`POPULATIONS`.
        values: Right or not, of all merges of the table, ``(candidates, items)``.
        proxies: Smooth metrics by name, each more for a better model, ``(candidates, items)``.
        genomes: ``(candidates, genes)``; NaN in rows of baselines.
        strata: Number of each item's subtask, ``(items,)``.
        baselines: Rows of base, experts and their average.
        experts: Rows of the experts.
        outside: Rows of the outside pool.
        members: Rows of the population, in the order in which they were recorded.
        stream: Rows of all searches and clouds, by origin, those that have converged most last.
    """

    table: str
    task: str
    population: str
    values: Array
    proxies: Mapping[str, Array]
    genomes: Array
    strata: Rows
    baselines: Rows
    experts: Rows
    outside: Rows
    members: Rows
    stream: tuple[Rows, ...] = ()

    @property
    def key(self) -> str:
        """Its name."""
        return f"{self.table}/{self.task}/{self.population}"

    @property
    def items(self) -> int:
        """Number of items."""
        return self.values.shape[1]

    @cached_property
    def truth(self) -> Array:
        """True scores: means over all items, ``(candidates,)``."""
        return np.asarray(self.values.mean(axis=1))

    @property
    def spread(self) -> float:
        """Standard deviation of the population's true scores."""
        return float(self.truth[self.members].std())


@dataclass(frozen=True, eq=False)
class Draw:
    """What is known and what is wanted in one repeat.

    Attributes:
        probes: Members that have answered everything.
        targets: Other members, to be ranked.
        random: The repeat's generator.
    """

    probes: Rows
    targets: Rows
    random: np.random.Generator


def cells(name: str, table: ResponseTable) -> Iterator[Cell]:
    """The populations of a table on each of its tasks, those that are all alike among them.

    Args:
        name: The table's name.
        table: The table; merges that failed are left out.
    """
    scored = np.array([candidate.error is None for candidate in table.candidates])
    candidates = [candidate for candidate in table.candidates if candidate.error is None]
    origins = np.array([candidate.origin for candidate in candidates])
    named = np.array([(candidate.name or "").partition(":")[0] for candidate in candidates])
    for task, columns in table.values.items():
        kinds = {item.subtask: None for item in table.items_of(task)}
        numbers = {kind: number for number, kind in enumerate(kinds)}
        for population, (kinds_of, outside) in POPULATIONS.items():
            yield Cell(
                name,
                task,
                population,
                columns["acc"][scored],
                {metric: values[scored] for metric, values in _proxies(columns).items()},
                table.genomes[scored],
                np.array([numbers[item.subtask] for item in table.items_of(task)]),
                np.flatnonzero(origins == "baseline"),
                np.flatnonzero(named == "expert"),
                np.flatnonzero(np.isin(origins, outside)),
                np.flatnonzero(np.isin(origins, kinds_of)),
                tuple(np.flatnonzero(origins == origin) for origin in STREAM),
            )


def _proxies(columns: Mapping[str, Array]) -> dict[str, Array]:
    """Log-probability of the right answer, the same cut off, its probability (among the options, if there are any)."""
    found = {
        "gold_logprob": columns["gold_logprob"],
        "gold_logprob, from -2": np.maximum(columns["gold_logprob"], -2.0),
    }
    found["gold_prob"] = columns["gold_prob"] if "gold_prob" in columns else np.exp(columns["gold_logprob"])
    if "brier_score" in columns:
        found["brier_score"] = -columns["brier_score"]
    return found


def ranked(found: Iterator[Cell]) -> list[Cell]:
    """The cells in which there is something to rank."""
    return [cell for cell in found if len(cell.members) >= PROBES + FEWEST and cell.spread >= LEAST_SPREAD]


def draw(cell: Cell, part: str, repeat: int) -> Draw:
    """The repeat of a part of the study: a function of their names alone."""
    random = generator(part, cell.key, repeat)
    order = random.permutation(cell.members)
    return Draw(order[:PROBES], order[PROBES : PROBES + TARGETS], random)


def generator(*purpose: str | int) -> np.random.Generator:
    """The generator of one purpose; those of different purposes are independent."""
    return np.random.default_rng([*"/".join(map(str, purpose)).encode()])
