"""Sums over tensors, reproducible to the last bit however the work is divided.

Runs of 1024 terms are folded in float64: the upper half is added to the lower half until one is left. The sums of the
runs are then added up exactly and rounded once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch

from evomerge.kernels.blocks import spans
from evomerge.kernels.exact import exact_sum
from evomerge.kernels.masks import Mask
from evomerge.kernels.operands import Selection, Values, Variance
from evomerge.kernels.reference.magnitudes import magnitude_bits
from evomerge.kernels.reference.sparsify import sparsify
from evomerge.kernels.reference.values import block_of, delta_block, selected

_RUN = 1024
_TABLE = 1 << 22


def dot(left: torch.Tensor, right: torch.Tensor) -> float:
    """See :func:`evomerge.kernels.dot`; of flat tensors."""
    pieces = spans(left.numel(), device=left.device)
    return _total(_folded(left[span].to(torch.float64).mul_(right[span].to(torch.float64))) for span in pieces)


def absolute_sum(values: Values, mask: Mask | None) -> float:
    """See :func:`evomerge.kernels.absolute_sum`."""
    return _total(
        _folded((block if mask is None else sparsify(mask, block, span)).to(torch.float64).abs_())
        for span in spans(values.base.numel(), device=values.base.device)
        for block in [block_of(values, span)]
    )


def square_sums(deltas: Variance, select: Selection | None) -> list[float]:
    """See :func:`evomerge.kernels.square_sums`."""
    found: list[list[torch.Tensor]] = [[] for _ in deltas.models]
    for span in spans(deltas.base.numel(), device=deltas.base.device):
        chosen = None if select is None else selected(select, span)
        for sums, model in zip(found, deltas.models, strict=True):
            block = delta_block(deltas.base, model, span)
            sums.append(_folded((block if chosen is None else block * chosen).to(torch.float64).square_()))
    return [_total(sums) for sums in found]


def cumulative_square_sums(deltas: Variance, bin_keys: torch.Tensor, shift: int) -> torch.Tensor:
    """Sums of the squares of each delta's elements of the highest variances, in the order of their indices.

    Args:
        deltas: The base and the models.
        bin_keys: All keys of the histogram of their variances, largest first; shape ``(m,)``.
        shift: That histogram's.

    Returns:
        float64 of shape ``(m + 1, models)``: row ``i`` is over the elements of the first ``i`` bins.
    """
    rows_of = _row_lookup(bin_keys)
    sums = torch.zeros(len(deltas.models), bin_keys.numel(), dtype=torch.float64)
    for span in spans(deltas.base.numel(), device=deltas.base.device):
        # On the CPU, where sums of the same index are added one after the other.
        rows = rows_of((magnitude_bits(block_of(deltas, span)) >> shift).cpu())
        for own, model in zip(sums, deltas.models, strict=True):
            own.index_add_(0, rows, delta_block(deltas.base, model, span).cpu().to(torch.float64).square_())
    return torch.nn.functional.pad(sums.cumsum(1), (1, 0)).t().contiguous()


def _row_lookup(bin_keys: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """Index lookup of keys among these, which are largest first: by a table if that is small, else by a search."""
    count = bin_keys.numel()
    if count and int(bin_keys[0]) < _TABLE:
        table = torch.zeros(int(bin_keys[0]) + 1, dtype=torch.int64)
        table[bin_keys.long()] = torch.arange(count)
        return lambda own: table[own]
    ascending = bin_keys.flip(0)
    return lambda own: count - 1 - torch.searchsorted(ascending, own)


def _folded(terms: torch.Tensor) -> torch.Tensor:
    """The folded sums of runs of a block, float64."""
    missing = -terms.numel() % _RUN
    runs = torch.nn.functional.pad(terms, (0, missing)).view(-1, _RUN)
    while runs.shape[1] > 1:
        half = runs.shape[1] // 2
        runs = runs[:, :half] + runs[:, half:]
    return runs.view(-1)


def _total(runs: Iterable[torch.Tensor]) -> float:
    """The sum of folded runs, rounded once."""
    return exact_sum([value for run in runs for value in run.tolist()])
