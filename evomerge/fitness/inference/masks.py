"""What each token of a packed row may see, in the form that transformers' models take."""

from __future__ import annotations

from typing import Any

import torch

from evomerge.fitness.inference.batches import LikelihoodPass

FULL, SLIDING = "full_attention", "sliding_attention"


def attention_mask(model: Any, batch: LikelihoodPass, past: int) -> torch.Tensor | dict[str, torch.Tensor]:
    """The mask of a pass whose rows are trees.

    Args:
        model: A causal language model whose layers attend to everything or within a sliding window.
        batch: The pass, on the model's device; it has ``places`` and ``ends``.
        past: How many tokens come before every row.

    Returns:
        ``(rows, 1, length, past + length)`` in the model's dtype, zero where a token is seen and the lowest number
        where not; or one such mask per type of layer, where a model has several.
    """
    dtype = next(model.parameters()).dtype
    assert batch.places is not None
    assert batch.ends is not None
    places, ends = batch.places, batch.ends
    index = torch.arange(places.shape[1], device=places.device)
    own = (index[None, None, :] <= index[None, :, None]) & (ends[:, None, :] > index[None, :, None])
    seen = torch.cat([own.new_ones((*own.shape[:2], past)), own], dim=2)
    masks = {}
    for kind, size in windows(model.config).items():
        near = seen if size is None else seen & _near(places, past, size)
        masks[kind] = _additive(near, dtype)
    return masks if len(masks) > 1 else next(iter(masks.values()))


def windows(config: Any) -> dict[str, int | None]:
    """How far back the layers of a model see, by type of layer; None is everything.

    Raises:
        ValueError: If some layers do not attend to earlier tokens one by one.
    """
    config = config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ())
    if kinds - {FULL, SLIDING}:
        raise ValueError(f"layers of type {', '.join(sorted(kinds - {FULL, SLIDING}))}")
    size = getattr(config, "sliding_window", None)
    if not kinds:
        return {FULL if size is None else SLIDING: size}
    if SLIDING in kinds and not size:
        raise ValueError("sliding layers of unknown width")
    return {kind: size if kind == SLIDING else None for kind in sorted(kinds)}


def _near(places: torch.Tensor, past: int, size: int) -> torch.Tensor:
    before = torch.arange(past, device=places.device).expand(len(places), past)
    return places[:, :, None] - torch.cat([before, places], dim=1)[:, None, :] < size


def _additive(seen: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    mask = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
    return mask.masked_fill_(~seen, torch.finfo(dtype).min)[:, None]
