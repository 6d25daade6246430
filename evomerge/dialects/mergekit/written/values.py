"""A recipe's coefficients and options as mergekit's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from evomerge import methods
from evomerge.dialects.mergekit.filters import filters
from evomerge.errors import InputError
from evomerge.methods import MergeMethod
from evomerge.recipe import Recipe


@dataclass(frozen=True)
class Written:
    """Values in mergekit's words.

    Attributes:
        parameters: Those that say what options say.
        coefficients: Name to values, ``(groups, slots)`` or ``(groups,)``, as the recipe's; rows of frozen groups leave
            the base, or the first model, as it is.
    """

    parameters: Mapping[str, Any]
    coefficients: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, recipe: Recipe) -> Written:
        """The values of a recipe.

        Raises:
            InputError: If its method, options, coefficients or frozen groups have no counterpart.
        """
        method = methods.load(recipe.method)
        said = method.mergekit_parameters
        if said is None:
            raise InputError(f"method is {recipe.method!r}; mergekit has no such method")
        options = method.resolve(recipe.options)
        found = method.mergekit(options)
        problems = []
        if found is None:
            told = ", ".join(f"{name}={value}" for name, value in options.items())
            problems.append(f"options are {told}; mergekit's {recipe.method} computes something else")
        values = {name: np.array(array) for name, array in recipe.coefficients.items()}
        for name in said.lacks:
            if name in values and not _is_unsaid(recipe, method, name, values.pop(name)):
                problems.append(f"coefficients.{name} is set; mergekit's {recipe.method} has no {name}")
        problems += _freeze(recipe, method, values)
        if problems:
            raise InputError(problems)
        if "epsilon" in values:
            values["epsilon"] = np.vectorize(_width)(values["epsilon"], values["density"])
        return cls({name: value for name, value in (found or {}).items() if name != "merge_method"}, values)


def parameter(values: Mapping[str, float]) -> Any:
    """A parameter for YAML, from its value for each tensor: a number, or a list of ``{filter, value}``."""
    used = sorted(set(values.values()))
    if len(used) == 1:
        return used[0]
    chosen = filters(tuple(values), tuple(map(used.index, values.values())))
    return [({} if part is None else {"filter": part}) | {"value": used[of]} for part, of in chosen]


def _is_unsaid(recipe: Recipe, method: MergeMethod, name: str, array: np.ndarray) -> bool:
    """Whether a coefficient that mergekit does not have says nothing: equal proportions, or neutral values."""
    declared = next(c for c in method.coefficients(method.resolve(recipe.options)) if c.name == name)
    live = array[[not group.frozen for group in recipe.groups.groups]]
    if not declared.simplex:
        return bool((live == declared.neutral).all())
    return bool((live[:, : _fewest(recipe)] == live[:, :1]).all())


def _fewest(recipe: Recipe) -> int:
    """The number of columns that all rows use."""
    return min(len(layer.inputs) for layer in recipe.layers) if recipe.layers else len(recipe.sources)


def _freeze(recipe: Recipe, method: MergeMethod, values: dict[str, np.ndarray]) -> list[str]:
    """Sets the rows of frozen groups to what leaves the base, or without one the first model, as it is."""
    frozen = [row for row, group in enumerate(recipe.groups.groups) if group.frozen]
    if not frozen or _alone(recipe, method):
        return []
    label = recipe.groups.groups[frozen[0]].label
    deltas = method.takes_deltas(recipe.base is not None)
    said = method.mergekit_parameters
    untouched = None if said is None else said.untouched(recipe.slots, deltas)
    if untouched is None or (recipe.base is not None and not deltas):
        return [f"groups: {label!r} is frozen; mergekit's {recipe.method} has nothing that leaves these tensors alone"]
    for name, value in untouched.items():
        values[name][frozen] = value
    return []


def _alone(recipe: Recipe, method: MergeMethod) -> bool:
    """Whether what is frozen has one model, which mergekit's methods of several models leave as it is."""
    several = method.models[0] > 1 and method.base != "required" and recipe.base is None
    rows = [layer.row for layer in recipe.layers]
    return several and bool(rows) and all(len(layer.inputs) == 1 for layer in recipe.layers if layer.row is not None)


def _width(share: float, density: float) -> float:
    """The half-width of a range of probabilities, of its share of the widest."""
    return share * min(density, 1.0 - density)
