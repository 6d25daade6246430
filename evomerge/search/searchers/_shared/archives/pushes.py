"""Pushes towards experts: random steps on top of what a genome decodes to, for searchers that mutate by them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evomerge.evaluation import EXPERT, Evaluation, Objective
from evomerge.genome import GenomeSpec
from evomerge.recipe import PostStep, Recipe

__all__ = ["Push", "Pushes", "forgotten", "pushed", "with_pushes"]

_STEP = "svd_push"


@dataclass(frozen=True)
class Push:
    """A random step along the singular directions of one expert's delta, see `evomerge.post.svd_push`.

    Attributes:
        expert: Number of the expert among the models.
        key: Key of its draw; None for draws that are forgotten, of which the mean is left.
        weight: What the draw is multiplied with.
    """

    expert: int
    key: int | None
    weight: float


MakePushed = Callable[[NDArray[np.float64], Sequence[Push], float], Recipe]
"""The recipe of a genome with pushes; the number is the largest factor that a push of weight 1 extrapolates by."""


@dataclass(frozen=True, eq=False)
class Pushes:
    """The pushes that a search knows how to make.

    Attributes:
        make: Makes recipes of genomes with pushes.
        experts: For each objective, the number of the expert that is best in it.
    """

    make: MakePushed
    experts: tuple[int, ...]

    @classmethod
    def of(
        cls,
        genome: GenomeSpec,
        recipes: Mapping[str, Recipe],
        baselines: Mapping[str, Evaluation],
        objectives: Sequence[Objective],
    ) -> Pushes | None:
        """The pushes of a search; None where there is no base to take experts' deltas from, or no expert was scored.

        Args:
            genome: The search space.
            recipes: The baselines.
            baselines: Their evaluations on the search items.
            objectives: What to improve.
        """
        sources, scores = genome.template.sources, dict[int, Mapping[str, float]]()
        for name, recipe in recipes.items():
            known = baselines.get(name)
            if name.startswith(EXPERT) and known is not None and known.error is None and recipe.sources[0] in sources:
                scores.setdefault(sources.index(recipe.sources[0]), known.metrics)
        if genome.template.base is None or not scores:
            return None
        return cls(lambda x, own, size: pushed(genome, x, own, size), tuple(_best(one, scores) for one in objectives))


def _best(objective: Objective, scores: Mapping[int, Mapping[str, float]]) -> int:
    """The expert that is best in an objective, of equal ones the first."""
    sign = 1.0 if objective.higher_is_better else -1.0
    return max(sorted(scores), key=lambda expert: sign * objective.value(scores[expert]))


def pushed(genome: GenomeSpec, x: NDArray[np.float64], pushes: Sequence[Push], size: float) -> Recipe:
    """The recipe of a genome with pushes: a step for each expert, after the steps of the search.

    Args:
        genome: The search space.
        x: The genome.
        pushes: Equal draws added up.
        size: The largest factor that a push of weight 1 extrapolates a direction by.
    """
    return with_pushes(genome.decode(x), pushes, size)


def with_pushes(recipe: Recipe, pushes: Sequence[Push], size: float) -> Recipe:
    """A recipe with pushes: a step for each expert, after its own steps.

    Args:
        recipe: The recipe.
        pushes: Equal draws added up.
        size: The largest factor that a push of weight 1 extrapolates a direction by.
    """
    steps = []
    for expert in sorted({push.expert for push in pushes}):
        own = [push for push in pushes if push.expert == expert]
        draws = ",".join(f"{'mean' if push.key is None else push.key}:{push.weight:.12g}" for push in own)
        sizes = np.full(len(recipe.groups.groups), size)
        steps.append(PostStep(_STEP, {"model": expert, "draws": draws}, {"size": sizes}))
    return replace(recipe, post=(*recipe.post, *steps))


def forgotten(pushes: Sequence[Push], kept: int) -> tuple[Push, ...]:
    """The pushes with the largest weights, and for each expert one that stands for the mean of all others.

    Every ancestor adds a push, so a lineage has more of them at every step, though of ever smaller weights. A weight
    may be negative, and counts as what it is without its sign.

    Args:
        pushes: Of a candidate, equal draws not yet added up.
        kept: How many draws are told apart.
    """
    weights: dict[tuple[int, int | None], float] = {}
    for push in pushes:
        place = (push.expert, push.key)
        weights[place] = weights.get(place, 0.0) + push.weight
    drawn = [(weight, expert, key) for (expert, key), weight in weights.items() if key is not None]
    drawn.sort(key=lambda one: (-abs(one[0]), one[1], one[2]))
    means = {expert: weight for (expert, key), weight in weights.items() if key is None}
    for weight, expert, _ in drawn[kept:]:
        means[expert] = means.get(expert, 0.0) + weight
    named = [Push(expert, key, weight) for weight, expert, key in drawn[:kept]]
    return (*named, *(Push(expert, None, means[expert]) for expert in sorted(means)))
