"""The one loop of all element-wise methods: sparsify deltas, elect signs, add up, add to the base, round.

A mixture is what a method makes of one tensor and its coefficients. It is computed block by block in the cache: no
intermediate is as large as the tensor.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from evomerge.kernels.blocks import fill, flat, spans
from evomerge.kernels.operands import Mixed, Mixture
from evomerge.kernels.reference.sparsify import sparsify
from evomerge.kernels.reference.values import selected


def mix(mixture: Mixture, out: torch.Tensor) -> Mixed:
    """See :func:`evomerge.kernels.mix`."""
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
    """See :func:`evomerge.kernels.net_sign`; of at least one part and element."""
    return sum(
        int(_sum([part.vote for part in mixture.parts], _kept(mixture, span)).sign_().sum(dtype=torch.int64))
        for span in spans(mixture.like.numel(), device=mixture.like.device)
    )


def _kept(mixture: Mixture, span: slice) -> list[torch.Tensor]:
    """The sparsified deltas of one block, or the models' own elements."""
    chosen = None if mixture.select is None else selected(mixture.select, span)
    base = None if mixture.base is None else mixture.base[span].to(torch.float32)
    blocks = []
    for part in mixture.parts:
        block = flat(part.model)[span].to(torch.float32)
        if base is not None:
            block = block - base
        if part.mask is not None:
            block = sparsify(part.mask, block, span)
        if part.factor != 1.0:
            block = block * part.factor
        blocks.append(block if chosen is None else block * chosen)
    return blocks


def _mixed(mixture: Mixture, span: slice) -> tuple[torch.Tensor, int]:
    """One block of the sum before scale and base, and the number of its tied elements."""
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
