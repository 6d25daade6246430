"""Agreement with mergekit on the cases of ``tests/golden``, tensor by tensor."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from evomerge import methods
from evomerge.kernels import random_key
from evomerge.merging import Checkpoints, Merger
from evomerge.recipe import CheckpointRef, Ends, Group, OutputLayer, ParameterGroups, Recipe

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = sorted(path.name for path in (GOLDEN / "cases").iterdir())
LAYERS = 4


@dataclass(frozen=True)
class Setting:
    """What mergekit's rules say about one tensor: the models, and every parameter's value per model and shared."""

    models: tuple[str, ...]
    parameters: Mapping[str, Mapping[str, Any]]
    shared: Mapping[str, Any]


def evaluate(value: Any, tensor: str, fraction: float) -> Any:
    """A parameter's value: a scalar, a gradient over depth, or the first filter that is part of the name."""
    if not isinstance(value, list):
        return value
    if isinstance(value[0], dict):
        found = [rule["value"] for rule in value if rule.get("filter", "*") == "*" or rule["filter"] in tensor]
        return evaluate(found[0], tensor, fraction) if found else None
    place = fraction * (len(value) - 1)
    left = min(int(place), len(value) - 2)
    return value[left] + (value[left + 1] - value[left]) * (place - left)


def setting(recipe: Mapping[str, Any], tensor: str) -> Setting:
    """Looks every parameter up: of the model in its slice, then global. What lies outside the layers is at depth 0."""
    layer = re.search(r"layers\.(\d+)\.", tensor)
    sources, fraction = recipe.get("models"), 0.0
    if sources is None:
        at_end = tensor.startswith(("lm_head", "model.norm"))
        index = int(layer[1]) if layer else (LAYERS - 1 if at_end else 0)
        ranges = [source["sources"][0]["layer_range"] for source in recipe["slices"]]
        number, (start, stop) = next((n, r) for n, r in enumerate(ranges) if r[0] <= index < r[1])
        sources = recipe["slices"][number]["sources"]
        fraction = (index - start) / (stop - start - 1) if layer else 0.0
    elif layer:
        fraction = int(layer[1]) / (LAYERS - 1)
    kept = [
        source for source in sources if source["model"] != recipe.get("base_model") or recipe["merge_method"] == "slerp"
    ]
    everywhere = recipe.get("parameters", {})
    return Setting(
        tuple(source["model"] for source in kept),
        {
            source["model"]: {
                name: evaluate(value, tensor, fraction) for name, value in source.get("parameters", {}).items()
            }
            for source in kept
        },
        {name: evaluate(value, tensor, fraction) for name, value in everywhere.items()},
    )


def options_of(method: methods.MergeMethod, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The method's options that mean what the recipe's parameters say; mergekit's defaults where it says nothing."""
    options: dict[str, Any] = {}
    parameters = recipe.get("parameters", {})
    if "normalise" in method.options:
        by_default = method.name in ("linear", "ties")
        options["normalise"] = "weight" if parameters.get("normalize", by_default) else "none"
    if method.name.startswith("breadcrumbs"):
        options |= {"scope": "tensor", "yields": "gamma", "small": "zero"}
    if method.mergekit_parameters is not None:
        told = method.mergekit_parameters.defaults
        options |= method.mergekit_parameters.read({name: parameters.get(name, told[name]) for name in told})
    if method.stochastic:
        options["rescale"] = "l1" if parameters.get("rescale", True) else "none"
    return method.resolve(options)


def merged(
    recipe: Mapping[str, Any], checkpoints: Mapping[str, Mapping[str, torch.Tensor]], tensor: str
) -> torch.Tensor:
    method = methods.load(recipe["merge_method"])
    options = options_of(method, recipe)
    found = setting(recipe, tensor)
    values: dict[str, Any] = {}
    for coefficient in method.coefficients(options):
        if coefficient.per_model:
            values[coefficient.name] = tuple(
                float(found.parameters[m].get(coefficient.name, coefficient.neutral)) for m in found.models
            )
        else:
            values[coefficient.name] = float(found.shared.get(coefficient.name, coefficient.neutral))
    context = methods.TensorContext(tensor, keys=tuple(random_key(0, model, tensor) for model in found.models))
    deltas = method.base == "required" or (method.base == "either" and "base_model" in recipe)
    base = checkpoints[recipe["base_model"]][tensor] if deltas else None
    models = [checkpoints[model][tensor] for model in found.models]
    out = torch.empty_like(models[0])
    method.merge(context, method.sources(context, base, models, options), values, out)
    return out


@pytest.fixture(scope="module")
def checkpoints() -> dict[str, dict[str, torch.Tensor]]:
    folders = sorted((GOLDEN / "checkpoints").iterdir())
    return {f"checkpoints/{folder.name}": load_file(folder / "model.safetensors") for folder in folders}


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_mergekit(case: str, checkpoints: dict[str, dict[str, torch.Tensor]]) -> None:
    recipe = yaml.safe_load((GOLDEN / "cases" / case / "recipe.yml").read_text(encoding="utf-8"))
    expected = load_file(GOLDEN / "cases" / case / "expected.safetensors")
    dtype = getattr(torch, recipe["dtype"])
    cast = {model: {name: t.to(dtype) for name, t in tensors.items()} for model, tensors in checkpoints.items()}
    assert set(expected) == set(cast["checkpoints/base"])
    different = elements = 0
    for name, wanted in expected.items():
        got = merged(recipe, cast, name)
        assert got.dtype == wanted.dtype
        if dtype == torch.float32:
            error = got - wanted
            assert error.norm() <= 1e-6 * wanted.norm(), name
            assert error.abs().max() <= 1e-5 * wanted.abs().max(), name
        else:
            # Equal magnitudes at the threshold: mergekit keeps some of them, by an unstable sort; we keep the first.
            steps = (ordered(got) - ordered(wanted)).abs()
            assert (steps > 1).float().mean() <= 0.15, name
            different += int((steps > 1).sum())
            elements += steps.numel()
    assert different <= 0.10 * elements


def ordered(values: torch.Tensor) -> torch.Tensor:
    """bfloat16 values as integers that count representable numbers."""
    bits = values.view(torch.int16).to(torch.int32)
    return torch.where(bits < 0, -(bits & 0x7FFF), bits)


@pytest.mark.parametrize("case", [case for case in CASES if not case.startswith("dare")])
def test_the_method_names_the_parameters_of_the_recipe(case: str) -> None:
    recipe = yaml.safe_load((GOLDEN / "cases" / case / "recipe.yml").read_text(encoding="utf-8"))
    method = methods.load(recipe["merge_method"])
    named = method.mergekit(options_of(method, recipe))
    told = () if method.mergekit_parameters is None else method.mergekit_parameters.defaults
    names = {"normalize", "rescale", *told}
    written = {name: value for name, value in recipe.get("parameters", {}).items() if name in names}
    assert named is not None
    assert written.items() <= named.items()


@pytest.mark.parametrize(
    ("case", "layers", "scaled"),
    [
        ("passthrough_stack", [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (1, 3)], ()),
        ("passthrough_scale", [(0, 0), (0, 1), (1, 1), (1, 2), (1, 3)], ("o_proj", "down_proj")),
    ],
)
def test_stacks_agree_with_mergekit(case: str, layers: list[tuple[int, int]], scaled: tuple[str, ...]) -> None:
    """Layers of one model on layers of another, and half of what some projections of the latter give."""
    first = next(number for number, (source, _) in enumerate(layers) if source)
    groups = (Group("all"),)
    if scaled:
        groups = (Group("scaled", layers=(first, len(layers)), filters=scaled), *groups)
    recipe = Recipe(
        "passthrough",
        {},
        tuple(CheckpointRef(str(GOLDEN / "checkpoints" / name)) for name in ("expert0", "expert1")),
        None,
        ParameterGroups(groups),
        {"scale": np.array([0.5, 1.0][-len(groups) :])},
        layers=tuple(OutputLayer((place,)) for place in layers),
        ends=Ends((0,), (1,)),
        out_dtype="float32",
    )
    expected = load_file(GOLDEN / "stacks" / case / "expected.safetensors")
    got = dict(Merger(Checkpoints.open(recipe)).stream(recipe))
    assert set(got) == set(expected)
    for name, wanted in expected.items():
        assert torch.equal(got[name], wanted), name
