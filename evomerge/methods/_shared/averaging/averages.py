"""Weighted sums of the models themselves, without a base."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evomerge.kernels import Finite, Mixture, Part, mix
from evomerge.methods._shared.inputs import TensorSources

if TYPE_CHECKING:
    import torch


def add_models(sources: TensorSources, weights: Sequence[float], out: torch.Tensor) -> Finite | None:
    """Writes the weighted sum of the models; a model of weight zero takes no part.

    Args:
        sources: The tensors.
        weights: One for each model.
        out: Memory of the tensor's shape.

    Returns:
        Whether the result is finite, or None where that was not looked at.
    """
    parts = [Part(model, weight) for model, weight in zip(sources.flat_models, weights, strict=True) if weight != 0]
    if parts:
        return mix(Mixture(None, parts), out).finite
    out.detach().zero_()
    return True
