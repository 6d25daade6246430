"""Whether weights of a kind of model can do what scaling its hidden state between two layers does.

A model whose blocks normalise what they read, and add to it, is told no scale by what it reads: to divide what a layer
and all later ones add to the hidden state is to multiply the state that enters the first of them. Names do not show
whether a model is built so, so the first two layers are asked: once with the hidden state scaled on its way, and once
with other weights instead.
"""

from __future__ import annotations

from typing import Any

import torch

from evomerge.merging import Blueprint, LiveModel, Merger, ModelSettings, weight_map
from evomerge.recipe import Recipe
from evomerge.statistics._shared.observing.layers import layers_of

__all__ = ["scale_problem"]

_TOKENS = 16
# Of what the scale changes: the small constant in norms makes a difference, and nothing else.
_APART, _ROUNDING = 0.02, 1e-5


@torch.no_grad()
def scale_problem(merger: Merger, plain: Recipe, scaled: Recipe, factor: float) -> str | None:
    """Says why a recipe whose weights stand for a scale is not the model with that scale, or None if it is.

    Args:
        merger: Of the recipes' checkpoints.
        plain: A recipe of two layers.
        scaled: The same with the hidden state scaled on its way to the second, as the weights have it.
        factor: The scale.

    Raises:
        InputError: If transformers cannot build the model.
    """
    live = _of_two_layers(merger, plain)
    live.install(merger, plain)
    tokens = torch.arange(_TOKENS)[None] % live.model.config.get_text_config().vocab_size
    before = _logits(live, tokens)
    hook = layers_of(live.model)[1].register_forward_pre_hook(_Scaled(factor), with_kwargs=True)
    wanted = _logits(live, tokens)
    hook.remove()
    live.install(merger, scaled)
    apart = float((_logits(live, tokens) - wanted).abs().max())
    allowed = _APART * float((wanted - before).abs().max()) + _ROUNDING * float(before.abs().max())
    if apart <= allowed:
        return None
    kind = merger.checkpoints.reference.config.get("model_type")
    return (
        f"the weights of a model of type {kind!r} cannot do what scaling its hidden state between layers does: answers "
        f"differ by {apart:.2g} where {allowed:.2g} would be rounding and the constants of norms"
    )


class _Scaled:
    """Scales the hidden state that enters a layer."""

    def __init__(self, factor: float) -> None:
        self._factor = factor

    def __call__(self, module: torch.nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, Any]:
        if given:
            return (given[0] * self._factor, *given[1:]), named
        return given, {**named, "hidden_states": named["hidden_states"] * self._factor}


def _of_two_layers(merger: Merger, recipe: Recipe) -> LiveModel:
    outputs = merger.plan(recipe).outputs
    settings = ModelSettings(torch.float32)
    blueprint = Blueprint.of_config(outputs.config, dtype=settings.dtype)
    pieces = weight_map(blueprint.model, {name: tuple(spec.shape) for name, spec in outputs.specs.items()})
    model = blueprint.empty(outputs.template.path, settings.dtype, "cpu").eval().requires_grad_(False)
    return LiveModel(model, pieces, settings, outputs.config if outputs.reshaped else None)


def _logits(live: LiveModel, tokens: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = live.model(input_ids=tokens, use_cache=False).logits
    return logits
