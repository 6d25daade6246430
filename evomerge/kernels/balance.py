"""The pass of PCB-Merging (Du et al. 2024): deltas averaged by how well each of their elements competes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from evomerge.kernels import native
from evomerge.kernels.blocks import fill
from evomerge.kernels.values import Delta, Score

LEAST = 1e-12
"""The least that a sum of shares counts as, so that nobody's elements become zero."""


@dataclass(frozen=True)
class Rival:
    """One delta of those that are averaged.

    An element's share is ``(score - least) * stretch``, zero where the score is below.

    Attributes:
        score: The scores of its elements among all deltas.
        weight: What its clamped delta is multiplied by.
        least: The score whose share is zero.
        stretch: What scales what is above to [0, 1].
    """

    score: Score
    weight: float
    least: float
    stretch: float


def balance(base: torch.Tensor, rivals: Sequence[Rival], scale: float, out: torch.Tensor) -> bool | None:
    """Writes the base plus scale times the average of clamped deltas by their shares, in float32.

    Args:
        base: The base's tensor, flat.
        rivals: What is averaged; all compete with the same models. None of them leaves the base as it is.
        scale: What the average is multiplied by.
        out: Memory of any shape, strides and floating dtype; overwritten. Rounded to nearest, ties to even.

    Returns:
        Whether all that was written is finite; None if nobody looked.
    """
    if out.numel() == 0:
        return True
    models = rivals[0].score.models if rivals else ()
    if native.serves(out, base, *models):
        target = out.detach()
        memory = target if target.is_contiguous() else torch.empty(out.shape, dtype=out.dtype)
        finite = native.balance(base, rivals, scale, memory)
        if memory is not target:
            target.copy_(memory)
        return finite

    def compute(span: slice) -> torch.Tensor:
        deltas = [Delta(base, model).block(span) for model in models]
        update = torch.zeros_like(base[span], dtype=torch.float32)
        shares = torch.zeros_like(update)
        for rival in rivals:
            own = rival.score.clamped(deltas[rival.score.model])
            share = (rival.score.of(deltas, own) - rival.least).clamp_(min=0.0).mul_(rival.stretch)
            update.add_(own * share * rival.weight)
            shares.add_(share)
        update.div_(shares.clamp_(min=LEAST)).mul_(-scale).add_(0.0)
        return base[span].to(torch.float32) - update

    fill(out, compute)
    return None
