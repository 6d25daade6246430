"""Element-wise values of tensors, block by block in float32."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from evomerge.kernels.blocks import flat, spans
from evomerge.kernels.operands import Delta, PcbScore, Range, Selection, Sparse, Values, Variance, slope_of
from evomerge.kernels.reference.elementary import exp, tanh
from evomerge.kernels.reference.sparsify import in_window, sparsify


def block_of(values: Values, span: slice) -> torch.Tensor:
    """One block of values in float32, as new memory."""
    if isinstance(values, Delta):
        return delta_block(values.base, values.model, span)
    if isinstance(values, Sparse):
        return sparsify(values.mask, delta_block(values.base, values.model, span), span)
    deltas = [delta_block(values.base, model, span) for model in values.models]
    if isinstance(values, Variance):
        return _variance(deltas)
    return pcb_scores(values, deltas, clamped(values.limits, deltas[values.model]))


def blocks_of(values: Values) -> Iterator[torch.Tensor]:
    """All values, block by block."""
    for span in spans(values.base.numel(), device=values.base.device):
        yield block_of(values, span)


def selected(selection: Selection, span: slice) -> torch.Tensor:
    """Boolean mask of the elements of one block that are chosen."""
    return in_window(selection.window, block_of(selection.values, span), span)


def delta_block(base: torch.Tensor, model: torch.Tensor, span: slice) -> torch.Tensor:
    """One block of a model minus the base, as new memory."""
    return flat(model)[span].to(torch.float32) - flat(base)[span].to(torch.float32)


def _variance(deltas: Sequence[torch.Tensor]) -> torch.Tensor:
    result = torch.zeros_like(deltas[0])
    for number, delta in enumerate(deltas):
        for other in deltas[:number]:
            away = delta - other
            result.add_(away.mul_(away))
    return result.mul_(1 / len(deltas) ** 2)


def clamped(limits: Range, delta: torch.Tensor) -> torch.Tensor:
    """A delta with its magnitudes clamped; non-finite elements become NaN, so that they stay visible."""
    size = delta.abs().clamp_(*limits)
    return torch.copysign(size, delta).masked_fill_(delta == 0, 0.0).add_(delta * 0.0)


def pcb_scores(score: PcbScore, deltas: Sequence[torch.Tensor], own: torch.Tensor) -> torch.Tensor:
    """Scores of one block.

    Args:
        score: Which model is scored, and the limits of its magnitudes.
        deltas: The block of all deltas.
        own: The scored model's block, clamped (:func:`clamped`).
    """
    size = (own.abs() - score.limits[0]) * score.slope
    return (exp(size * size * len(deltas)) * _agreement(score, deltas)).clamp_(min=0.0)


def _agreement(score: PcbScore, deltas: Sequence[torch.Tensor]) -> torch.Tensor:
    """Agreement of one model's block with all models'."""
    if score.agreement == "product":
        return tanh(deltas[score.model] * _total(deltas))
    sizes = [_signed_size(limits, delta) for limits, delta in zip(score.all_limits, deltas, strict=True)]
    if score.agreement == "scaled":
        return tanh(deltas[score.model] * _total(sizes))
    return _total([tanh(sizes[score.model] * other) for other in sizes])


def _signed_size(limits: Range, delta: torch.Tensor) -> torch.Tensor:
    """Clamped magnitudes scaled to [0, 1], with the signs of the delta; zero where it is."""
    size = (clamped(limits, delta).abs() - limits[0]) * slope_of(limits)
    return torch.copysign(size, delta).masked_fill_(delta == 0, 0.0)


def _total(blocks: Sequence[torch.Tensor]) -> torch.Tensor:
    total = blocks[0].clone()
    for block in blocks[1:]:
        total.add_(block)
    return total
