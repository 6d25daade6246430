"""Sums over tensors that come out the same to the last bit, however the work is divided.

Runs of 1024 terms are folded in float64: the upper half is added to the lower half until one is left. The sums of the
runs are then added up exactly and rounded once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch

from evomerge.kernels import native
from evomerge.kernels.blocks import flat, spans
from evomerge.kernels.selection import Keep, Selection, magnitude_bits, thin
from evomerge.kernels.values import Delta, Spread, Values

_RUN = 1024
_TABLE = 1 << 22


def dot(left: torch.Tensor, right: torch.Tensor) -> float:
    """The inner product of two tensors of the same shape."""
    left, right = flat(left), flat(right)
    if native.serves(left, right):
        return _added(native.dots(left, right))
    pieces = spans(left.numel(), device=left.device)
    return _added(_folded(left[span].to(torch.float64).mul_(right[span].to(torch.float64))) for span in pieces)


def absolute_sum(values: Values, keep: Keep | None = None) -> float:
    """The sum of the absolute values of all elements, or of those that are kept."""
    if native.serves_values(values):
        return _added(native.absolute_sums(values, keep))
    return _added(
        _folded((block if keep is None else thin(keep, block, span)).to(torch.float64).abs_())
        for span in spans(values.base.numel(), device=values.base.device)
        for block in [values.block(span)]
    )


def square_sums(deltas: Spread, select: Selection | None = None) -> list[float]:
    """The sum of the squares of each delta's elements, or of those that are selected.

    Args:
        deltas: The base and the models.
        select: Which elements of all deltas count; None is all.
    """
    if native.serves_values(deltas) and (select is None or native.serves_values(select.values)):
        return [_added([sums]) for sums in native.square_sums(deltas, select)]
    found: list[list[torch.Tensor]] = [[] for _ in deltas.models]
    for span in spans(deltas.base.numel(), device=deltas.base.device):
        chosen = None if select is None else select.mask(span)
        for sums, model in zip(found, deltas.models, strict=True):
            block = Delta(deltas.base, model).block(span)
            sums.append(_folded((block if chosen is None else block * chosen).to(torch.float64).square_()))
    return [_added(sums) for sums in found]


def square_sums_upto(deltas: Spread, digits: torch.Tensor, shift: int) -> torch.Tensor:
    """The sums of the squares of each delta's elements of the highest variances, in the order of their indices.

    Args:
        deltas: The base and the models.
        digits: All digits of the histogram of their variances, largest first; shape ``(m,)``.
        shift: That histogram's.

    Returns:
        float64 of shape ``(m + 1, models)``: row ``i`` is over the elements of the first ``i`` digits.
    """
    rows_of = _rows(digits)
    sums = torch.zeros(len(deltas.models), digits.numel(), dtype=torch.float64)
    for span in spans(deltas.base.numel(), device=deltas.base.device):
        # On the CPU, where sums of the same index are added one after the other.
        rows = rows_of((magnitude_bits(deltas.block(span)) >> shift).cpu())
        for own, model in zip(sums, deltas.models, strict=True):
            own.index_add_(0, rows, Delta(deltas.base, model).block(span).cpu().to(torch.float64).square_())
    return torch.nn.functional.pad(sums.cumsum(1), (1, 0)).t().contiguous()


def _rows(digits: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """What finds the indices of digits among these, which are largest first: a table if it is small, else a search."""
    count = digits.numel()
    if count and int(digits[0]) < _TABLE:
        table = torch.zeros(int(digits[0]) + 1, dtype=torch.int64)
        table[digits.long()] = torch.arange(count)
        return lambda own: table[own]
    ascending = digits.flip(0)
    return lambda own: count - 1 - torch.searchsorted(ascending, own)


def _folded(terms: torch.Tensor) -> torch.Tensor:
    """The folded sums of runs of a block, float64."""
    missing = -terms.numel() % _RUN
    runs = torch.nn.functional.pad(terms, (0, missing)).view(-1, _RUN)
    while runs.shape[1] > 1:
        half = runs.shape[1] // 2
        runs = runs[:, :half] + runs[:, half:]
    return runs.view(-1)


def _added(parts: Iterable[torch.Tensor]) -> float:
    sums = [value for part in parts for value in part.tolist()]
    # The exact sum refuses what is not finite; any order then gives the same.
    return math.fsum(sums) if all(map(math.isfinite, sums)) else sum(sums)
