"""Recipes that are timed: a method with options, on a base and its experts, and the candidates after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from evomerge import methods
from evomerge.methods import MergeMethod
from evomerge.recipe import CheckpointRef, Group, ParameterGroups, Recipe

# With densities as people choose them; weights that do not sum to one, so that nothing is a special case.
VALUES = {"weight": (0.3, 0.4, 0.5), "density": (0.3, 0.5, 0.7), "lambda": 0.9, "t": 0.4, "eta": 0.4}

KINDS = ("attention", "mlp")
"""Module kinds that have linear maps."""


def method_of(word: str) -> tuple[MergeMethod, dict[str, Any]]:
    """A method and all of its options, from its name or ``NAME:OPTION=VALUE,...``."""
    name, _, given = word.partition(":")
    method = methods.load(name)
    said = (option.partition("=") for option in given.split(",") if option)
    return method, method.resolve({option: yaml.safe_load(value) for option, _, value in said})


def recipe_of(word: str, folders: list[Path], layers: int) -> Recipe:
    """A recipe with a group for each layer, the models as the method wants them.

    Args:
        word: A method, with options that differ from its defaults: ``tsvm`` or ``tsvm:ranks=searched,keep=all``.
        folders: The base and the experts.
        layers: Number of layers.
    """
    method, options = method_of(word)
    base, experts = folders[0], folders[1:]
    models = tuple(CheckpointRef(str(folder)) for folder in experts[: method.models[1]])
    groups = ParameterGroups((*(Group(f"layer {i}", layers=(i, i + 1)) for i in range(layers)), Group("outside")))
    values = {}
    for coefficient in method.coefficients(options):
        given: Any = VALUES.get(coefficient.name, coefficient.neutral)
        given = np.asarray(given if np.ndim(given) else [given] * len(models))[: len(models)]
        rows = np.tile(given, (layers + 1, 1))
        values[coefficient.name] = rows if coefficient.per_model else rows[:, 0]
    own = CheckpointRef(str(base)) if method.base == "required" else None
    return Recipe(method.name, options, models, own, groups, values)


def layer_recipe(
    word: str, folders: Sequence[Path], layer: int, values: Mapping[str, float], kinds: Sequence[str] = KINDS
) -> Recipe:
    """The merge of one layer's linear maps in float32; everything else stays the base's.

    Args:
        word: As in :func:`recipe_of`.
        folders: The base and the experts.
        layer: Its index.
        values: Coefficients, those of all models alike; the others are neutral.
        kinds: Module kinds of the linear maps that are merged.
    """
    method, options = method_of(word)
    own = Group("layer", layers=(layer, layer + 1), kinds=tuple(kinds))
    groups = ParameterGroups((own, Group("outside", frozen=True)))
    base, *experts = (CheckpointRef(str(folder)) for folder in folders)
    found = {}
    for coefficient in method.coefficients(options):
        shape = (2, len(experts)) if coefficient.per_model else (2,)
        found[coefficient.name] = np.full(shape, values.get(coefficient.name, coefficient.neutral))
    return Recipe(method.name, options, tuple(experts), base, groups, found, out_dtype="float32")


def nudged(recipe: Recipe, step: int, rows: slice = slice(None)) -> Recipe:
    """The same recipe with slightly smaller values, in all rows or in some."""
    values = {name: array.copy() for name, array in recipe.coefficients.items()}
    for array in values.values():
        array[rows] *= 1 - 0.003 * step
    return replace(recipe, coefficients=values)
