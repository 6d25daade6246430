"""PCB-Merging (Du et al. 2024): the average of deltas weighted by the competition scores of their elements."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from evomerge.kernels.blocks import fill
from evomerge.kernels.operands import PcbTerm
from evomerge.kernels.reference.values import clamped, delta_block, pcb_scores

LEAST = 1e-12
"""Lower bound of a sum of shares, so that an element without competitors does not become zero over zero."""


def pcb_merge(base: torch.Tensor, terms: Sequence[PcbTerm], scale: float, out: torch.Tensor) -> bool | None:
    """See :func:`evomerge.kernels.pcb_merge`."""
    models = terms[0].score.models if terms else ()

    def compute(span: slice) -> torch.Tensor:
        deltas = [delta_block(base, model, span) for model in models]
        update = torch.zeros_like(base[span], dtype=torch.float32)
        shares = torch.zeros_like(update)
        for term in terms:
            own = clamped(term.score.limits, deltas[term.score.model])
            share = (pcb_scores(term.score, deltas, own) - term.least).clamp_(min=0.0).mul_(term.slope)
            update.add_(own * share * term.weight)
            shares.add_(share)
        update.div_(shares.clamp_(min=LEAST)).mul_(-scale).add_(0.0)
        return base[span].to(torch.float32) - update

    fill(out, compute)
    return None
