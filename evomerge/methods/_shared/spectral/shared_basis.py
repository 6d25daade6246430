"""The basis that the deltas of one matrix share, and the deltas in it.

Deltas of adapters have few directions together. These are found from a random sample of the range, without a
decomposition of anything large, and checked to be all there are; other deltas are decomposed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from evomerge.methods._shared.spectral.decomposition import one_thread, svd

Shared = tuple[torch.Tensor, Sequence[torch.Tensor]]
"""Orthonormal vectors ``(rank, rows)``, and of each delta its block ``(rank, columns)``, both float32."""

# Below this share of the largest, singular values are rounding.
_ROUNDING = 1e-6
# A sample of the range has this part of the directions that deltas can have: products with it are cheap.
_PART = 8
# Steps, and vectors, by which the largest singular value of what a sample has missed is estimated from below, and the
# share of the limit that the estimate has to stay under.
_STEPS, _PROBES, _SURE = 8, 4, 0.5


def shared_basis(deltas: Sequence[torch.Tensor], least: float) -> Shared:
    """Decomposes deltas that lie side by side: ``[delta_1 ... delta_n] = basis^T [block_1 ... block_n]``.

    Args:
        deltas: The deltas of one matrix, finite, float32, ``(rows, columns)``.
        least: Directions whose singular value is not above this are left out.
    """
    thin = _thin(deltas, least)
    if thin is not None:
        return thin
    found = svd(torch.cat(list(deltas), dim=1), _ROUNDING)
    found = found.top(int((found.values > least).sum()))
    scaled = found.right * found.values.to(torch.float32)
    return found.left.t(), scaled.t().split(deltas[0].shape[1], dim=1)


def _thin(deltas: Sequence[torch.Tensor], least: float) -> Shared | None:
    """The same of deltas that have few directions together; None of others."""
    (rows, columns), device = deltas[0].shape, deltas[0].device
    count = min(rows, len(deltas) * columns) // _PART
    if count == 0 or least == 0:
        return None
    generator = torch.Generator().manual_seed(0)
    with one_thread():
        draws = [torch.randn(columns, count, generator=generator, dtype=torch.float64).to(device) for _ in deltas]
        images = [delta.double() @ draw for delta, draw in zip(deltas, draws, strict=True)]
        span = torch.linalg.qr(torch.stack(images).sum(0))[0]
        inside = [span.t() @ delta.double() for delta in deltas]
        missed = [(delta.double() - span @ own).float() for delta, own in zip(deltas, inside, strict=True)]
        if not _below(missed, least, generator):
            return None
        squares, turns = torch.linalg.eigh(torch.stack([own @ own.t() for own in inside]).sum(0))
        values, turns = squares.clamp(min=0).sqrt().flip(0), turns.flip(1)
        turns = turns[:, (values > least) & (values > _ROUNDING * values[:1])]
        basis = span @ turns
        turns = turns * basis.gather(0, basis.abs().argmax(dim=0, keepdim=True)).sign()
        return (span @ turns).t().float(), [(turns.t() @ own).float() for own in inside]


def _below(missed: Sequence[torch.Tensor], least: float, generator: torch.Generator) -> bool:
    """Whether the singular values of matrices that lie side by side are below a limit."""
    length = math.sqrt(sum(float(own.double().square().sum()) for own in missed))
    if length <= _SURE * least:
        return True
    if length > least * math.sqrt(min(missed[0].shape[0], sum(own.shape[1] for own in missed))):
        return False
    probe = torch.randn(missed[0].shape[0], _PROBES, generator=generator).to(missed[0].device)
    for _ in range(_STEPS):
        probe = probe / probe.norm(dim=0).clamp(min=torch.finfo(torch.float32).tiny)
        probe = torch.stack([own @ (own.t() @ probe) for own in missed]).sum(0)
    return math.sqrt(float(probe.norm(dim=0).max())) <= _SURE * least
