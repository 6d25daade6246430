"""Binding of ``program/pcb.py``."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from evomerge.kernels.blocks import flat
from evomerge.kernels.fused import flags
from evomerge.kernels.fused.launch import BLOCK, launches, part
from evomerge.kernels.fused.program.pcb import pcb_kernel
from evomerge.kernels.operands import PcbTerm


def pcb_merge(base: torch.Tensor, terms: Sequence[PcbTerm], scale: float, out: torch.Tensor) -> torch.Tensor:
    """See :func:`evomerge.kernels.pcb_merge`; into contiguous memory."""
    finite, target = flags.raised(out.device), flat(out)
    models = [flat(model) for model in terms[0].score.models] if terms else []
    numbers = (
        tuple((float(own.weight), float(own.least), float(own.slope)) for own in terms),
        tuple((*map(float, own.score.limits), float(own.score.slope)) for own in terms),
        float(-scale),
    )
    for span, grid in launches(base.numel(), base.device):
        pcb_kernel[grid](
            (part(target, span), finite),
            (part(base, span), tuple(part(model, span) for model in models)),
            numbers,
            span.stop - span.start,
            FORM=(tuple(own.score.model for own in terms), len(terms), len(models)),
            BLOCK=BLOCK,
            enable_fp_fusion=False,
        )
    return finite
