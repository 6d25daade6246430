"""Attention masks of packed prefix trees, in the form that transformers' models take."""

from __future__ import annotations

from typing import Any

import torch

from evomerge.fitness.inference.batches import LikelihoodPass

FULL, SLIDING = "full_attention", "sliding_attention"


def attention_mask(model: Any, batch: LikelihoodPass, past: int) -> torch.Tensor | dict[str, torch.Tensor]:
    """The mask of a pass whose rows are packed trees.

    Args:
        model: A causal language model with full or sliding-window attention.
        batch: The pass, on the model's device; it has ``position_ids`` and ``ends``.
        past: Length of the prefix that every row continues.

    Returns:
        ``(rows, 1, length, past + length)`` in the model's dtype, zero where a token is attended to and the lowest
        number elsewhere; for models with several types of layers, one mask per type.
    """
    dtype = next(model.parameters()).dtype
    assert batch.position_ids is not None
    assert batch.ends is not None
    position_ids, ends = batch.position_ids, batch.ends
    index = torch.arange(position_ids.shape[1], device=position_ids.device)
    own = (index[None, None, :] <= index[None, :, None]) & (ends[:, None, :] > index[None, :, None])
    seen = torch.cat([own.new_ones((*own.shape[:2], past)), own], dim=2)
    masks = {}
    for kind, size in windows(model.config).items():
        near = seen if size is None else seen & _near(position_ids, past, size)
        masks[kind] = _additive(near, dtype)
    return masks if len(masks) > 1 else next(iter(masks.values()))


def windows(config: Any) -> dict[str, int | None]:
    """Attention window of each type of layer of a model; None is unlimited.

    Raises:
        ValueError: If some layers do not attend to single tokens, such as recurrent ones.
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


def _near(position_ids: torch.Tensor, past: int, size: int) -> torch.Tensor:
    before = torch.arange(past, device=position_ids.device).expand(len(position_ids), past)
    return position_ids[:, :, None] - torch.cat([before, position_ids], dim=1)[:, None, :] < size


def _additive(seen: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    mask = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
    return mask.masked_fill_(~seen, torch.finfo(dtype).min)[:, None]
