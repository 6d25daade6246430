"""First part: every estimator, on items that candidates have in common and on items of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from evomerge.analysis.allocation.sampling import simple
from evomerge.search.allocation import TaskAnswers, policies
from experiments.estimation.cells import Array, Cell, Draw, draw, generator
from experiments.estimation.measures import Measures, measured
from experiments.estimation.variants import MEAN, VARIANTS, Variant

SIZES = (10, 20, 50, 100, 200)
MORE = (400, 800)  # of independent items, to find how many are worth 20 others; of fewer, all
DESIGNS = ("common", "rotating", "independent")


def windows(cell: Cell, count: int, n: int, design: str, random: np.random.Generator) -> list[np.ndarray]:
    """The items that each candidate is asked.

    Args:
        cell: The population.
        count: How many candidates.
        n: How many items each is asked.
        design: ``common``: all the same. ``rotating``: each those that the policy of this name gives another batch.
            ``independent``: each its own simple random sample.
        random: The generator.
    """
    everything = np.arange(cell.items)
    if design == "common":
        return [simple(random, everything, n)] * count
    if design == "independent":
        return [simple(random, everything, n) for _ in range(count)]
    policy, found = policies.load("rotating"), list[np.ndarray]()
    for _ in range(count):
        answers = TaskAnswers(cell.values[:1], found)
        found.append(policy.choose(answers, n, policy.complete({}), random).rows)
    return found


def answered(cell: Cell, repeat: Draw, asked: Sequence[np.ndarray]) -> Array:
    """The targets' answers to their items, NaN elsewhere, ``(targets, items)``."""
    values = np.full((len(repeat.targets), cell.items), np.nan)
    for place, (row, items) in enumerate(zip(repeat.targets, asked, strict=True)):
        values[place, items] = cell.values[row, items]
    return values


def trial(cell: Cell, number: int, variants: Sequence[Variant] = VARIANTS) -> Iterator[tuple[str, Measures]]:
    """One repeat: label, design and n, joined, and the measures of each.

    The same repeat has the same targets, probes and items for all estimators.

    Args:
        cell: The population.
        number: Of the repeat.
        variants: The estimators.
    """
    repeat = draw(cell, "ranking", number)
    truth = cell.truth[repeat.targets]
    cases: dict[tuple[str, int], Array] = {}
    for design in DESIGNS:
        for n in (*SIZES, *(MORE if design == "independent" else ())):
            if n < cell.items or design == "independent":
                random = generator(design, n, cell.key, number)
                asked = windows(cell, len(truth), min(n, cell.items), design, random)
                cases[design, n] = answered(cell, repeat, asked)
    for variant in variants:
        own = [case for case in cases if case[0] != "independent" or variant is MEAN]
        estimates = variant.estimates(cell, repeat, [cases[case] for case in own])
        for (design, n), found in zip(own, estimates, strict=True):
            ties = generator("ties", design, n, cell.key, number)
            yield f"{variant.label}|{design}|{n}", measured(found, truth, ties)
