"""Routers of a mixture that is built, and the groups of experts of one that is condensed: from a model and texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evomerge.checkpoints import is_embedding
from evomerge.errors import InputError
from evomerge.merging import LiveModel, Merger
from evomerge.recipe import Recipe
from evomerge.statistics._layers.gates import (
    ExpertPrompts,
    Ids,
    hidden_last,
    hidden_mean,
    random_rows,
    rows_from_embeddings,
    rows_from_states,
)
from evomerge.statistics._layers.observed import router_logits

_STATES = {"hidden": hidden_last, "hidden_mean": hidden_mean}


def gates_for(
    merger: Merger, recipe: Recipe, how: str, prompts: Sequence[ExpertPrompts], *, experts: int, seed: int = 0
) -> torch.Tensor:
    """The routers of a mixture, ``(layers, experts, hidden)``, or ``(experts, hidden)`` where all layers have the same.

    Args:
        merger: Of the recipe's checkpoints.
        recipe: Whose model reads the prompts: that which everything but experts comes from.
        how: ``hidden`` states at the last token of prompts, ``hidden_mean``, their mean over tokens, ``embedding``, the
            sum of the tokens' embeddings, ``random``, or ``uniform``: zeros, for a model whose tokens go through all
            experts.
        prompts: Of each expert, where they are used.
        experts: Number of experts.
        seed: Of what is left to chance.

    Raises:
        InputError: If there are no prompts where they are needed, or the model cannot be loaded.
    """
    plan = merger.plan(recipe)
    name = next((name for name in plan.specs if is_embedding(name)), None)
    if name is None:
        raise InputError("the model has no input embeddings, so it can have no router")
    hidden = plan.specs[name].shape[1]
    if how == "random":
        return random_rows(plan.outputs.layers, experts, hidden, seed)
    if how == "uniform":
        return torch.zeros(experts, hidden)
    if len(prompts) != experts or not all(own.positive for own in prompts):
        raise InputError(f"prompts: gate={how} needs at least one prompt of each of {experts} experts")
    if how == "embedding":
        return rows_from_embeddings(merger.tensor(recipe, name), prompts)
    if how not in _STATES:
        raise InputError(f"gate: expected hidden, hidden_mean, embedding, random or uniform, got {how!r}")
    return rows_from_states(loaded(merger, recipe).model, prompts, _STATES[how])


def loaded(merger: Merger, recipe: Recipe) -> LiveModel:
    """The model of a recipe in memory, in float32 on the merger's device."""
    plan = merger.plan(recipe)
    live = LiveModel.load(merger.checkpoints.reference.path, device=merger.device)
    if not live.fits(plan):
        live = live.rebuilt(plan)
    live.install(merger, recipe)
    return live


def logits_of(folder: Path, texts: Sequence[Ids], device: Any = "cpu") -> dict[str, np.ndarray]:
    """The logits of each router of a mixture on all tokens of some texts, float64 ``(tokens, experts)``, by layer.

    Args:
        folder: The mixture's checkpoint.
        texts: Token ids.
        device: Where it computes.

    Raises:
        InputError: If it cannot be loaded, or has no router.
    """
    model = LiveModel.load(folder, device=device).model
    found: dict[str, list[np.ndarray]] = {}
    for ids in texts:
        for layer, logits in router_logits(model, ids).items():
            found.setdefault(layer, []).append(logits.double().numpy())
    if not found:
        raise InputError(f"{str(folder)!r} has no router of experts that could be asked")
    return {layer: np.concatenate(parts) for layer, parts in found.items()}
