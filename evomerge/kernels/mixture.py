"""The one loop of all element-wise methods: thin deltas out, elect signs, add up, add to the base, round.

A mixture is what a method makes of one tensor and its coefficients. It is computed in one pass over memory, in blocks
that stay in the cache: no intermediate is as large as the tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from evomerge.kernels import native
from evomerge.kernels.blocks import fill, flat, spans
from evomerge.kernels.selection import Keep, Selection, thin


@dataclass(frozen=True)
class Part:
    """What one model contributes.

    Attributes:
        model: Its tensor, flat.
        weight: What its kept delta is multiplied by in the sum; not zero.
        vote: What it is multiplied by in the election.
        share: What it adds to the divisor where it agrees.
        keep: What of its delta is kept; None is all.
        factor: What the kept elements are multiplied by first.
    """

    model: torch.Tensor
    weight: float
    vote: float = 1.0
    share: float = 1.0
    keep: Keep | None = None
    factor: float = 1.0


@dataclass(frozen=True)
class Mixture:
    """How the elements of one tensor are computed from those of several.

    Attributes:
        base: The base's tensor, flat, or None: then the models themselves are added, not their deltas.
        parts: The models that take part. None of them leaves the base as it is.
        scale: What the sum of deltas is multiplied by.
        elect: Whether only those parts are added whose vote has the sign of the sum of all votes.
        tie: The sign where that sum is zero: 1.0, -1.0, or 0.0 for nobody; None to find out whether it matters.
        divide: Whether the sum is divided by the shares of the parts that agree.
        select: What is kept of all deltas alike, after each was thinned out; None is all.
    """

    base: torch.Tensor | None
    parts: Sequence[Part]
    scale: float = 1.0
    elect: bool = False
    tie: float | None = 1.0
    divide: bool = False
    select: Selection | None = None

    def __post_init__(self) -> None:
        """Refuses what has no meaning."""
        if self.base is None and (self.select is not None or any(part.keep is not None for part in self.parts)):
            raise ValueError("expected a base, since elements of deltas are to be kept")
        if self.select is not None and self.select.values.base is not self.base:
            raise ValueError("expected elements selected by values that have the mixture's base")

    @property
    def tensors(self) -> tuple[torch.Tensor, ...]:
        """All tensors that are read."""
        selecting = () if self.select is None else self.select.values.models
        return (*(part.model for part in self.parts), *selecting, *(() if self.base is None else (self.base,)))

    @property
    def like(self) -> torch.Tensor:
        """A tensor that has the result's elements and device."""
        return self.parts[0].model if self.base is None else self.base


@dataclass(frozen=True)
class Mixed:
    """What was seen while mixing.

    Attributes:
        finite: Whether all that was written is finite; None if nobody looked.
        tied: Where ``mixture.tie`` is None: how many elements have votes that cancel. They were left to nobody.
    """

    finite: bool | None
    tied: int = 0


def mix(mixture: Mixture, out: torch.Tensor) -> Mixed:
    """Computes a mixture.

    Args:
        mixture: What to compute, in float32 and in the order of the parts.
        out: Memory of any shape, strides and floating dtype; overwritten. Rounded to nearest, ties to even.
    """
    if out.numel() == 0:
        return Mixed(True)
    if native.serves(out, *mixture.tensors):
        target = out.detach()
        memory = target if target.is_contiguous() else torch.empty(out.shape, dtype=out.dtype)
        tied, _, finite = native.mix(mixture, memory)
        if memory is not target:
            target.copy_(memory)
        return Mixed(finite, tied)
    tied = 0

    def compute(span: slice) -> torch.Tensor:
        nonlocal tied
        update, here = _mixed(mixture, span)
        tied += here
        if mixture.base is None:
            return update
        # Negated and taken off, with no negative zeros: so the base's own negative zeros stay where nothing is added.
        return mixture.base[span].to(torch.float32) - update.mul_(-mixture.scale).add_(0.0)

    fill(out, compute)
    return Mixed(None, tied)


def net_sign(mixture: Mixture) -> int:
    """The sum of the signs that an electing mixture with ``tie=None`` elects: positive if most elements vote plus."""
    if not mixture.parts or mixture.like.numel() == 0:
        return 0
    if native.serves(*mixture.tensors):
        return native.mix(mixture, None)[1]
    return sum(
        int(_sum([part.vote for part in mixture.parts], _kept(mixture, span)).sign_().sum(dtype=torch.int64))
        for span in spans(mixture.like.numel(), device=mixture.like.device)
    )


def _kept(mixture: Mixture, span: slice) -> list[torch.Tensor]:
    """The thinned deltas of one block, or the models' own elements."""
    chosen = None if mixture.select is None else mixture.select.mask(span)
    base = None if mixture.base is None else mixture.base[span].to(torch.float32)
    blocks = []
    for part in mixture.parts:
        block = flat(part.model)[span].to(torch.float32)
        if base is not None:
            block = block - base
        if part.keep is not None:
            block = thin(part.keep, block, span)
        if part.factor != 1.0:
            block = block * part.factor
        blocks.append(block if chosen is None else block * chosen)
    return blocks


def _mixed(mixture: Mixture, span: slice) -> tuple[torch.Tensor, int]:
    """One block of the sum before scale and base, and how many of its elements are tied."""
    if not mixture.parts:
        return torch.zeros_like(mixture.like[span], dtype=torch.float32), 0
    kept = _kept(mixture, span)
    weights = [part.weight for part in mixture.parts]
    if not mixture.elect:
        return _sum(weights, kept), 0
    votes = [block * part.vote for part, block in zip(mixture.parts, kept, strict=True)]
    elected = _sum([1.0] * len(votes), votes).sign_()
    ties, tied = elected == 0, 0
    if mixture.tie is None:
        tied = int((ties & torch.stack([vote != 0 for vote in votes]).any(0)).sum())
    elected.add_(ties * (mixture.tie or 0.0))
    agreeing = [vote * elected > 0 for vote in votes]
    # Multiplied, not selected: what is not finite must reach the result, where it is seen.
    update = _sum(weights, [block * agrees for block, agrees in zip(kept, agreeing, strict=True)])
    if mixture.divide:
        divisor = _sum([part.share for part in mixture.parts], agreeing)
        update.div_(divisor.add_(divisor == 0))
    return update, tied


def _sum(weights: Sequence[float], blocks: Sequence[torch.Tensor]) -> torch.Tensor:
    """The weighted sum in order, in float32: two roundings per term, never a fused one."""
    result: torch.Tensor | None = None
    for weight, block in zip(weights, blocks, strict=True):
        term = block.to(torch.float32) * weight
        result = term if result is None else result.add_(term)
    assert result is not None
    return result
