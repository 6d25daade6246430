"""Second part: every policy, by what its windows are worth to who knows a few candidates' answers to everything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evomerge.search.allocation import TaskAnswers, policies
from experiments.estimation.cells import Cell, draw, generator
from experiments.estimation.measures import Measures, measured
from experiments.estimation.ranking import SIZES, answered
from experiments.estimation.variants import MEAN, Variant


@dataclass(frozen=True)
class Policy:
    """A policy with its options.

    Attributes:
        label: Its name in tables.
        name: Its name in the package.
        options: Its options; those left out have their defaults.
    """

    label: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


POLICIES = (
    Policy("random", "fixed"),
    Policy("stratified", "stratified"),
    Policy("stratified, Neyman", "stratified", {"shares": "neyman"}),
    Policy("informative", "informative"),
    Policy("disagreement", "disagreement"),
    Policy("disagreement, audit", "disagreement", {"audit": 0.2}),
    Policy("rank preserving", "rank_preserving"),
)
UNWEIGHTED = Variant("mean, unweighted", "mean")
ESTIMATORS = (
    MEAN,
    UNWEIGHTED,
    Variant("aipw", "aipw"),
    Variant("posterior", "posterior", together=True),
)


def trial(cell: Cell, number: int, chosen: Sequence[Policy] = POLICIES) -> Iterator[tuple[str, Measures]]:
    """One repeat: policy, estimator and n, joined, and the measures of each.

    All targets are asked the same window, which the policy chooses by the answers of baselines and probes.

    Args:
        cell: The population.
        number: Of the repeat.
        chosen: The policies.
    """
    repeat = draw(cell, "choosing", number)
    truth = cell.truth[repeat.targets]
    known = TaskAnswers(cell.values[np.concatenate([cell.baselines, repeat.probes])])
    for policy in chosen:
        spec = policies.load(policy.name)
        for n in (n for n in SIZES if n < cell.items):
            random = generator(policy.name, n, cell.key, number)
            choice = spec.choose(known, n, spec.complete(policy.options), random)
            values = answered(cell, repeat, [choice.rows] * len(truth))
            for variant in ESTIMATORS:
                chances = None if variant is UNWEIGHTED else np.maximum(choice.inclusion, 1e-9)
                found = variant.estimates(cell, repeat, [values], chances)[0]
                yield f"{policy.label}|{variant.label}|{n}", measured(found, truth, generator("ties", n, number))
