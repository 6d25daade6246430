"""The experts of a search as what searchers choose among, and the recipes that are made of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis import Sums
from evomerge.checkpoints import CheckpointSource, column_cosines, compare_deltas
from evomerge.errors import InputError
from evomerge.genome import GenomeSpec
from evomerge.merging import Checkpoints
from evomerge.methods import MergeMethod
from evomerge.options import model_numbers
from evomerge.recipe import ModelRef, Recipe, Source, Tokenizer
from evomerge.run.likeness import comparable, sums_of
from evomerge.run.recipes.starts import at_shares
from evomerge.search.searchers import ExpertPool, ModelSpan

__all__ = ["expert_pool"]


def expert_pool(
    spec: GenomeSpec,
    method: MergeMethod,
    checkpoints: Checkpoints,
    base: ModelRef | None,
    alone: Mapping[ModelRef, Recipe],
    span: Callable[[], ModelSpan] | None = None,
) -> ExpertPool:
    """The pool of a search.

    Args:
        spec: The search space of a method over models, not of a recipe.
        method: The merge method.
        checkpoints: All models, opened.
        base: The base, also where the method itself takes none.
        alone: The experts, and each alone as a baseline.
        span: Gives their weighted sums; None where the method does more than add weights.

    Raises:
        InputError: If there is nothing to choose, or recipes of some experts cannot be made or compared.
    """
    template, experts, most = spec.template, tuple(alone), method.models[1]
    if problems := _problems(template, method, len(experts)):
        raise InputError(problems)
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
        experts, tuple(alone.values()), merge, most, weighted, sums if base is not None else None, cosines, span
    )


def _problems(template: Recipe, method: MergeMethod, count: int) -> list[str]:
    """Why there is nothing to choose among so many experts, or recipes of some are not like those of others."""
    least, most = method.models
    problems = [
        f"method_options.{name} is the number of a model, but the searcher chooses among models; leave it out"
        for name in model_numbers(method.options, template.options)
    ]
    if count < 2:
        problems.append(f"it chooses among models, and there is {count}; name two or more, models=[A,B]")
    if least > 2:
        problems.append(
            f"it begins with two models, and method {method.name} merges {least} or more; choose another method"
        )
    if most is not None and most < 2:
        problems.append(f"it merges models, and method {method.name} takes one at a time; choose another method")
    if any(need.of == "models" or need.texts == "own" for need in method.needs(method.resolve(template.options))):
        problems.append(
            f"method {method.name} reads statistics of the models that it merges, and candidates are models of which "
            "none are collected; choose another method"
        )
    if template.embeddings != "merge":
        problems.append(
            f"it takes a model alone as it is, so candidates would differ by embeddings={template.embeddings}; leave "
            "embeddings out"
        )
    if template.tokenizer != Tokenizer():
        problems.append(
            "models alone keep the reference's tokens, so candidates would differ in theirs; leave tokenizer out"
        )
    if template.has_layers:
        problems.append("it chooses among whole models, and layers are taken from several; leave the layers out")
    return problems
