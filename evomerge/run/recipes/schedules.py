"""Schedules: in what order models are merged, written as recipes of recipes.

No model in between is written: each tensor passes through all merges, rounded after each as a model on disk would be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from evomerge import methods
from evomerge.errors import InputError
from evomerge.genome.spec import spread
from evomerge.recipe import CheckpointRef, Group, ParameterGroups, Recipe, Source

__all__ = ["Model", "Step", "around", "chain", "merging", "tree"]

Model = str | Path | Source
"""A model: its folder or hub id, a reference, or the recipe that it is the model of."""
Step = Callable[[Source, Source], Recipe]
"""From the merge so far and the next model to the recipe that merges both."""


def merging(
    method: str,
    models: Sequence[Model],
    base: Model | None = None,
    coefficients: Mapping[str, float | Sequence[float]] | None = None,
    options: Mapping[str, Any] | None = None,
    out_dtype: str = "bfloat16",
) -> Recipe:
    """A recipe with the same coefficients for all tensors.

    Args:
        method: The merge method.
        models: What is merged.
        base: The base, if the method takes one.
        coefficients: Coefficient to one value, or to one per model; those that are not named are neutral.
        options: The method's options; those that are not named have their defaults.
        out_dtype: The type that merged tensors are rounded to.

    Raises:
        InputError: With everything that is wrong.
    """
    declared = methods.load(method)
    resolved, given = declared.resolve(options or {}), dict(coefficients or {})
    rows, problems = {}, []
    for c in declared.coefficients(resolved):
        neutral = 1.0 / len(models) if c.simplex else c.neutral
        try:
            rows[c.name] = np.array([spread(c, given.pop(c.name, neutral), len(models))])
        except ValueError as error:
            problems.append(f"method {method}: {error}")
    problems += [f"method {method}: there is no coefficient {name!r} (there are {', '.join(rows)})" for name in given]
    if problems:
        raise InputError(problems)
    recipe = Recipe(
        method, resolved, tuple(map(_source, models)), None if base is None else _source(base),
        ParameterGroups((Group("all"),)), rows, out_dtype=out_dtype,
    )  # fmt: skip
    if problems := declared.problems(recipe):
        raise InputError(problems)
    return recipe


def chain(models: Sequence[Model], step: Step | Sequence[Step]) -> Recipe:
    """One model after the other: ``(A + B) + C``.

    TinyR1 (arXiv:2503.04872) is two steps of Arcee Fusion, each with the next model as its base::

        chain(["math", "code", "science"], lambda so_far, model: merging("arcee_fusion", [so_far], base=model))

    Args:
        models: Two or more, in their order.
        step: Merges what has been merged so far with the next model; or one step for each model but the first.

    Raises:
        InputError: If there are too few models, or not as many steps as are needed.
    """
    sources = _sources(models, 2)
    steps = [step] * (len(sources) - 1) if callable(step) else list(step)
    if len(steps) != len(sources) - 1:
        raise InputError(f"a chain of {len(sources)} models has {len(sources) - 1} steps, came {len(steps)}")
    merged = sources[0]
    for merge, source in zip(steps, sources[1:], strict=True):
        merged = merge(merged, source)
    assert isinstance(merged, Recipe)
    return merged


def tree(models: Sequence[Model], step: Step) -> Recipe:
    """Neighbours first, then the merges of neighbours: ``(A + B) + (C + D)``; who has no neighbour waits.

    Args:
        models: Two or more, in their order.
        step: Merges two.

    Raises:
        InputError: If there are too few models.
    """
    level = _sources(models, 2)
    while len(level) > 1:
        pairs = [level[place : place + 2] for place in range(0, len(level), 2)]
        level = [reduce(step, pair) for pair in pairs]
    (merged,) = level
    assert isinstance(merged, Recipe)
    return merged


def around(pivot: Model, models: Sequence[Model], pair: Step, last: Callable[[Sequence[Source]], Recipe]) -> Recipe:
    """The pivot with each of the others, then all of these at once: FuseChat's shape (arXiv:2402.16107).

    FuseChat itself makes each pair by distillation; given its targets, ``last`` alone is its merge, such as
    ``lambda targets: merging("sce", targets, base=pivot)``.

    Args:
        pivot: The model that takes part in every pair.
        models: The others, one or more.
        pair: Merges the pivot with one of them.
        last: Merges the pairs.

    Raises:
        InputError: If there are no models.
    """
    (first,) = _sources([pivot], 1)
    return last([pair(first, source) for source in _sources(models, 1)])


def _source(model: Model) -> Source:
    return CheckpointRef(str(model)) if isinstance(model, str | Path) else model


def _sources(models: Sequence[Model], least: int) -> list[Source]:
    if len(models) < least:
        raise InputError(f"a schedule needs {least} models or more, came {len(models)}")
    return [_source(model) for model in models]
