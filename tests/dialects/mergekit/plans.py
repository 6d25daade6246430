"""Plans of recipes as values that can be compared: what each tensor is merged from, and how."""

from __future__ import annotations

import json
from typing import Any

from evomerge.merging import Checkpoints, Merger
from evomerge.merging.plan import RecipeSource
from evomerge.recipe import Recipe


def plan_of(recipe: Recipe, checkpoints: Checkpoints | None = None) -> dict[str, Any]:
    """By tensor: method, options and coefficients, the inputs with their types, and the type that it is stored in."""
    opened = Checkpoints.open(recipe) if checkpoints is None else checkpoints
    plan = Merger(opened).plan(recipe)
    inner: dict[int, dict[str, Any]] = {}

    def read(entry: Any) -> Any:
        if not isinstance(entry.source, RecipeSource):
            return str(entry.source.path), entry.name, str(entry.dtype)
        found = inner.setdefault(id(entry.source), {})
        if not found:
            found.update(plan_of(entry.source.plan.recipe, opened))
        return found[entry.name]

    found = {}
    for name, tensor in plan.outputs.tensors.items():
        inputs = [read(entry) for entry in tensor.inputs]
        if tensor.context is None:
            found[name] = (inputs[0], str(tensor.spec.dtype))
            continue
        how = plan.outputs.method.name, json.dumps(plan.outputs.options, sort_keys=True), plan.coefficients(tensor)
        found[name] = (how, tensor.based, inputs, str(tensor.spec.dtype))
    return found
