"""Sparsification: elements of a delta that a mask drops are multiplied by zero."""

from __future__ import annotations

import torch

from evomerge.kernels.masks import NOTHING, BernoulliMask, Mask, RankWindow, Threshold, Window
from evomerge.kernels.reference.magnitudes import magnitude_bits
from evomerge.kernels.reference.noise import uniform


def sparsify(mask: Mask, block: torch.Tensor, span: slice) -> torch.Tensor:
    """Multiplies the elements of a delta's block that the mask drops by zero, in place.

    Args:
        mask: The mask.
        block: float32, changed.
        span: Position of the block in the tensor.
    """
    if isinstance(mask, Window):
        return block.mul_(in_window(mask, block, span))
    if isinstance(mask, RankWindow):
        ranks = mask.ranks[span].to(block.device, torch.int32)
        return block.mul_((ranks >= mask.first).logical_and_(ranks < mask.stop))
    return _at_random(mask, block, span)


def _at_random(mask: BernoulliMask, block: torch.Tensor, span: slice) -> torch.Tensor:
    noise = uniform(mask.key, span, block.device)
    lowest = torch.tensor(mask.probability, dtype=torch.float32).item()  # a tensor on a device would be a copy to it
    probability = None
    if mask.ranks is None:
        block.mul_(noise < lowest)
    else:
        probability = mask.ranks[span].to(block.device, torch.float32).mul_(mask.step).add_(lowest)
        block.mul_(noise < probability)
    if mask.window is not None:
        block.mul_(in_window(mask.window, block, span))
    return block if probability is None or not mask.rescale else block.div_(probability)


def in_window(window: Window, block: torch.Tensor, span: slice) -> torch.Tensor:
    """Boolean mask of the elements of one block of values that lie in a window of magnitudes."""
    bits = magnitude_bits(block)
    inside = _reaches(window.within, bits, span)
    if window.beyond is NOTHING:
        return inside
    return inside.logical_and_(_reaches(window.beyond, bits, span).logical_not_())


def _reaches(threshold: Threshold, bits: torch.Tensor, span: slice) -> torch.Tensor:
    """Boolean mask of the elements of one block that reach a threshold."""
    if span.stop <= threshold.end:
        return bits >= threshold.bits
    inside = bits > threshold.bits
    if span.start < threshold.end:
        head = slice(0, threshold.end - span.start)
        inside[head] = bits[head] >= threshold.bits
    return inside
