"""Gram matrices of inputs, which RegMean and MaTS weigh experts by.

Jin et al. 2023, Dataless Knowledge Fusion by Merging Weights of Language Models (https://arxiv.org/abs/2212.09849).
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from evomerge.options import Option
from evomerge.statistics._shared.statistic import Counts, Options, Shape, Site, Statistic
from evomerge.statistics._shared.sums import add_products


def _shape(site: Site, options: Options) -> Shape | None:
    if site.kind != "linear" or site.inputs is None:
        return None
    if _is_wide(site, options):
        return (site.inputs, 1) if site.transposed else (site.inputs,)
    return (site.inputs, site.inputs)


def _is_wide(site: Site, options: Options) -> bool:
    return options["limit"] is not None and (site.inputs or 0) > options["limit"]


def _add(total: torch.Tensor, seen: torch.Tensor, options: Options) -> None:
    add_products(total, seen)


def _finish(total: torch.Tensor, counts: Counts, weight: Callable[[], torch.Tensor], options: Options) -> torch.Tensor:
    return total.div_(counts.tokens)


def _note(site: Site, options: Options) -> str | None:
    if site.kind != "linear" or not _is_wide(site, options):
        return None
    return f"its {site.inputs} inputs are more than the limit of {options['limit']}: the diagonal alone"


STATISTIC = Statistic(
    name="gram",
    version=1,
    summary="X'X of the inputs of each matrix, averaged per token; of wide inputs the diagonal alone",
    at="input",
    shape=_shape,
    add=_add,
    finish=_finish,
    options={
        "limit": Option(None, None, int, "Widest input that has a whole matrix; wider ones have its diagonal.", low=0)
    },
    note=_note,
)
