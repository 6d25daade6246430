"""All numbers of a recipe under one name each: the method's coefficients, and those of the steps after the merge.

A step's coefficient is called ``STEP.NAME``, such as ``lines.beta``; of a second step of that name ``STEP#2.NAME``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from evomerge.recipe.finishing import PostStep
from evomerge.recipe.recipe import Recipe


def step_labels(names: Sequence[str]) -> list[str]:
    """Labels of steps, in their order: their names, those that come again with the number of times so far."""
    counts = [names[: place + 1].count(name) for place, name in enumerate(names)]
    return [name if count == 1 else f"{name}#{count}" for name, count in zip(names, counts, strict=True)]


def values_of(recipe: Recipe) -> dict[str, np.ndarray]:
    """All numbers by name: ``(groups, slots)`` or ``(groups,)`` of the method, ``(groups,)`` of steps."""
    found = dict(recipe.coefficients)
    for label, step in _labelled(recipe.post):
        found |= {f"{label}.{name}": values for name, values in step.coefficients.items()}
    return found


def with_values(recipe: Recipe, values: Mapping[str, np.ndarray]) -> Recipe:
    """The recipe with other numbers: those that are named, and no others.

    Args:
        recipe: The recipe; its own numbers are not looked at.
        values: Name to values.
    """
    own = dict(values)
    post = []
    for label, step in _labelled(recipe.post):
        names = [name for name in own if name.startswith(f"{label}.")]
        post.append(replace(step, coefficients={name.removeprefix(f"{label}."): own.pop(name) for name in names}))
    return replace(recipe, coefficients=own, post=tuple(post))


def without_values(recipe: Recipe) -> Recipe:
    """The recipe without numbers: what candidates of one search have in common."""
    return with_values(recipe, {})


def _labelled(post: Sequence[PostStep]) -> list[tuple[str, PostStep]]:
    return list(zip(step_labels([step.name for step in post]), post, strict=True))
