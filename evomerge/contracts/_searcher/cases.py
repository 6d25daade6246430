"""Cases and comparisons of the contract of searchers."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from evomerge.analysis import Sums
from evomerge.contracts.watching import raised
from evomerge.options import Option
from evomerge.recipe import CheckpointRef, Group, ParameterGroups, Recipe, Source
from evomerge.search.searchers import Array, ExpertPool, ModelSpan, Proposal, Push, Pushes

__all__ = ["Trace", "Unseeded", "average", "disturbed", "expert_pool", "identical", "other_values", "pushes", "refused"]

_PARTS = 4  # of a model of the pool

Trace = list[tuple[str, bytes, tuple[str, ...]]]


def identical(proposals: list[Proposal]) -> Trace:
    """Everything that two equal proposals share."""
    return [(p.id, p.x.tobytes() if p.x is not None else _digest(p).encode(), p.parents) for p in proposals]


def expert_pool(count: int = 6, numel: int = 40) -> ExpertPool:
    """A pool of experts that are names alone, with deltas drawn by chance: two families, whose members are alike."""
    deltas = np.random.default_rng(0).normal(size=(count, numel))
    deltas[::2] += 2.0 * deltas[0] + 1.0
    counts = np.full((count, count), float(numel))
    sums = Sums(numel, 1.0, deltas.sum(axis=1), deltas @ deltas.T, counts, counts / 2)
    experts = tuple(CheckpointRef(f"experts/{index}") for index in range(count))

    def merge(sources: Sequence[Source], shares: Sequence[float]) -> Recipe:
        weight = np.array([shares])
        return Recipe("linear", {}, tuple(sources), None, ParameterGroups((Group("all"),)), {"weight": weight})

    def summed(weights: Array) -> Recipe:
        groups = ParameterGroups(tuple(Group(f"part {part}") for part in range(len(weights))))
        return Recipe("linear", {"normalise": "none"}, experts, None, groups, {"weight": weights})

    parts = deltas.reshape(count, _PARTS, -1).transpose(1, 0, 2)
    span = ModelSpan(np.arange(1.0, _PARTS + 1.0), lambda: parts @ parts.transpose(0, 2, 1), summed)
    family = np.arange(count) % 2
    cosines = np.where(family[:, None] == family, 0.97, 0.6)
    return ExpertPool(
        experts,
        tuple(merge([expert], [1.0]) for expert in experts),
        merge,
        None,
        True,
        lambda: sums,
        lambda: cosines,
        lambda: span,
    )


def pushes(n_obj: int) -> Pushes:
    """Pushes that move the gene of their expert's number, by their weights and keys."""

    def make(x: Array, own: Sequence[Push], size: float) -> Recipe:
        moved = x.copy()
        for push in own:
            draw = 0.5 if push.key is None else push.key % 1000 / 1000.0
            moved[push.expert % len(x)] += size * push.weight * draw
        groups = ParameterGroups(tuple(Group(f"gene {number}") for number in range(len(x))))
        return Recipe("linear", {}, (CheckpointRef("pushed"),), None, groups, {"point": np.clip(moved, 0.0, 1.0)})

    return Pushes(make, tuple(range(n_obj)))


def average(members: Sequence[Array | Recipe], weights: Sequence[float]) -> Recipe:
    """The average of the models of genomes and recipes."""
    groups = ParameterGroups((Group("all"),))
    named = [CheckpointRef(one.tobytes().hex()) if not isinstance(one, Recipe) else one for one in members]
    return Recipe("linear", {}, tuple(named), None, groups, {"weight": np.array([weights])})


def _digest(proposal: Proposal) -> str:
    return proposal.recipe.digest if proposal.recipe is not None else ""


def other_values(option: Option) -> list[object]:
    """Accepted values of an option besides its default, those that should change most first."""
    default, low, high = option.default, option.low, option.high
    tried: list[Any] = list(option.choices or ())
    if option.kind is bool:
        tried += [True, False]
    elif option.kind in (int, float) and not option.choices:
        least = low if low is not None else 0.0
        tried += [least + 0.25 * (min(high, 40.0) - least)] if high is not None else []
        tried += [2 * (default or 0) + 1, (default or 0) / 2, *(end for end in (low, high) if end is not None)]
        tried = [option.kind(value) for value in tried]
    return [value for value in tried if value != default and option.problem("", value) is None]


def refused(call: Callable[[], object]) -> bool:
    """Whether a call raises RuntimeError with a message."""
    return bool(str(raised(RuntimeError, call)))


class Unseeded:
    """Stands for a generator without a seed: any use of it fails."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"random numbers that no seed decides were asked for: {name}")


def disturbed(batches: Iterator[Trace]) -> Iterator[Trace]:
    """Reseeds the global generators before every batch."""
    states = np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        for number, batch in enumerate(batches):
            yield batch
            np.random.seed(number % 3)  # noqa: NPY002
            random.seed(0)
    finally:
        np.random.set_state(states[0])  # noqa: NPY002
        random.setstate(states[1])
