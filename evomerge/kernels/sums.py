"""Sums over tensors that come out the same to the last bit, however the work is divided.

Runs of 1024 terms are folded in float64: the upper half is added to the lower half until one is left. The sums of the
runs are then added up exactly and rounded once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

from evomerge.kernels import native
from evomerge.kernels.blocks import flat, spans
from evomerge.kernels.selection import Keep, Selection, thin
from evomerge.kernels.values import Delta, Spread, Values

_RUN = 1024


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
