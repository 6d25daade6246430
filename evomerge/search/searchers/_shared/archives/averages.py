"""Weighted averages of the models of candidates, for searchers that return one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evomerge.evaluation import EXPERT
from evomerge.genome import GenomeSpec
from evomerge.recipe import Group, Recipe, Tokenizer

__all__ = ["Average", "average_of"]

Average = Callable[[Sequence["NDArray[np.float64] | Recipe"], Sequence[float]], Recipe]
"""The recipe of a weighted average of the models of genomes or recipes, each once; the weights add up to 1."""


def average_of(genome: GenomeSpec, baselines: Mapping[str, Recipe]) -> Average | None:
    """Makes averages of a search's candidates; None where these have layers or tokens of their own.

    Args:
        genome: The search space.
        baselines: Name to recipe; one of an expert says how models are averaged.
    """
    template = genome.template
    plain = next((recipe for name, recipe in baselines.items() if name.startswith(EXPERT)), None)
    own = template.has_layers or genome.depth is not None or template.tokenizer != Tokenizer()
    if plain is None or own or template.embeddings != "merge":
        return None

    def average(members: Sequence[NDArray[np.float64] | Recipe], weights: Sequence[float]) -> Recipe:
        recipes = tuple(one if isinstance(one, Recipe) else genome.decode(one) for one in members)
        if len(recipes) == 1:
            return recipes[0]
        groups = replace(plain.groups, groups=(Group("all"),))
        return replace(plain, sources=recipes, base=None, groups=groups, coefficients={"weight": np.array([weights])})

    return average
