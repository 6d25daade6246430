"""Models put together from layers, for the tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from evomerge.recipe import Group, OutputLayer, ParameterGroups, Recipe
from tests.merging.conftest import make_recipe

GROUPS = ParameterGroups(
    (Group("copied", layers=(99, 100), frozen=True), Group("doubled", layers=(99, 100)), Group("all"))
)
STACKED = (
    OutputLayer(((0, 0), (1, 0)), base=0),
    OutputLayer(((0, 1), (1, 1)), base=1),
    OutputLayer(((1, 0), (0, 1)), base=0, row=1),  # swapped, and another row
    OutputLayer(((0, 1), (1, 1)), base=1),  # the second one again
    OutputLayer(((1, 0),), row=0),  # a copy
)
# The kinds of names, fused and renamed weights, per-layer lists and places of the number of layers.
TYPES = ("llama", "qwen2", "gpt2", "gpt_neox", "mixtral", "gemma2", "gemma3", "bloom", "mamba", "llava")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for path in folder.glob("*.safetensors") for name, tensor in load_file(path).items()}


def stacked(one: Path, two: Path, base: Path | None, method: str = "task_arithmetic", **changes: Any) -> Recipe:
    """Five layers of two models with two layers each."""
    recipe = make_recipe(method, [one, two], base, groups=GROUPS)
    layers = STACKED if base is not None else tuple(replace(layer, base=None) for layer in STACKED)
    return replace(recipe, **{"layers": layers, **changes})
