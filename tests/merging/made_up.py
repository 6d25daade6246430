"""Statistics of a recipe's sources that are made up from their weights, for tests that merge by every method."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch

from evomerge import methods
from evomerge.contracts.statistics_cases import statistics_for
from evomerge.merging import Checkpoints, needs_of
from evomerge.methods import Need
from evomerge.post import steps_of
from evomerge.recipe import Recipe


@dataclass(frozen=True)
class MadeUp:
    """Sound arrays of every tensor, see :func:`evomerge.contracts.statistics_cases.statistics_for`.

    Attributes:
        recipe: Names as many statistics as it needs, see :func:`with_keys`.
        checkpoints: Its opened checkpoints.
    """

    recipe: Recipe
    checkpoints: Checkpoints

    def missing(self, keys: Iterable[str]) -> tuple[str, ...]:
        """None of those that the recipe names."""
        return tuple(key for key in keys if key not in self.recipe.statistics)

    def tensor(self, key: str, name: str) -> torch.Tensor | None:
        """The array of a tensor."""
        need, place = _needed(self.recipe)[self.recipe.statistics.index(key)]
        source = self.recipe.sources[place] if place is not None else self.recipe.base
        assert source is not None
        tensor = self.checkpoints[source].tensor(name)
        return statistics_for([need], tensor, [tensor])[need.key][0]

    def transposed(self, key: str, name: str) -> bool:
        """All matrices are those of linear layers."""
        return False

    def release(self) -> None:
        """Nothing is kept."""


def with_keys(recipe: Recipe) -> Recipe:
    """A recipe with a key for each statistic that it needs."""
    return replace(recipe, statistics=tuple(f"{number:064x}" for number in range(len(_needed(recipe)))))


def _needed(recipe: Recipe) -> list[tuple[Need, int | None]]:
    """For each key what it is a key of, and the place of the source, or None for the base."""
    needs = needs_of(methods.load(recipe.method), recipe.options, steps_of(recipe.post))
    places = [range(len(recipe.sources)) if need.count(2) == 2 else (None,) for need in needs]
    return [(need, place) for need, own in zip(needs, places, strict=True) for place in own]
