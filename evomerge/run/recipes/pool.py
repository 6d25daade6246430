"""The experts of a search as what searchers choose among, and the recipes that are made of them."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis import Sums
from evomerge.checkpoints import CheckpointSource, column_cosines, compare_deltas
from evomerge.errors import InputError
from evomerge.genome import GenomeSpec
from evomerge.merging import Checkpoints
from evomerge.methods import MergeMethod
from evomerge.options import model_numbers
from evomerge.post import steps_of
from evomerge.recipe import ModelRef, Recipe, Source, Tokenizer
from evomerge.run.likeness import comparable, sums_of
from evomerge.run.recipes.starts import at_shares
from evomerge.search.searchers import ExpertPool

__all__ = ["expert_pool"]


def expert_pool(
    spec: GenomeSpec,
    method: MergeMethod,
    checkpoints: Checkpoints,
    base: ModelRef | None,
    alone: Mapping[ModelRef, Recipe],
) -> ExpertPool | None:
    """The pool of a search; None where there is nothing to choose, or recipes of some experts are not comparable.

    Args:
        spec: The search space of a method over models, not of a recipe.
        method: The merge method.
        checkpoints: All models, opened.
        base: The base, also where the method itself takes none.
        alone: The experts, and each alone as a baseline.

    Raises:
        InputError: If options of the method or of steps are the number of a model.
    """
    template, experts = spec.template, tuple(alone)
    own_tokens = template.embeddings != "merge" or template.tokenizer != Tokenizer()
    least, most = method.models
    if len(experts) < 2 or own_tokens or template.has_layers or least > 2 or (most is not None and most < 2):
        return None
    if numbers := _model_numbers(template, method):
        raise InputError(
            [
                f"{name} is the number of a model, but the searcher chooses among models; leave it out"
                for name in numbers
            ]
        )
    models = [checkpoints[ref] for ref in experts]

    @functools.cache
    def sums() -> Sums:
        assert base is not None
        names, _ = comparable(checkpoints, checkpoints[base], models)
        return Sums.over(map(sums_of, compare_deltas(checkpoints[base], models, names)))

    @functools.cache
    def cosines() -> NDArray[np.float64]:
        first: CheckpointSource = models[0]
        return column_cosines(models, comparable(checkpoints, first, models[1:])[0])

    def merge(sources: Sequence[Source], shares: Sequence[float]) -> Recipe:
        try:
            return spec.over(sources, at_shares(method, template.options, shares))
        except ValueError as error:
            raise InputError(f"searcher: recipes of some models cannot be made: {error}") from error

    weighted = "model:0" in method.starts(2, template.options)
    return ExpertPool(
        experts, tuple(alone.values()), merge, most, weighted, sums if base is not None else None, cosines
    )


def _model_numbers(template: Recipe, method: MergeMethod) -> list[str]:
    """Set options that are the number of a model, as words."""
    found = [f"method_options.{name}" for name in model_numbers(method.options, template.options)]
    for place, step in enumerate(steps_of(template.post)):
        found += [f"post[{place}].{name}" for name in model_numbers(step.process.options, step.options)]
    return found
