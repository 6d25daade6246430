"""Mean magnitude of each input channel, by which AIM keeps what the base needs.

Nobari et al. 2025, Activation-Informed Merging of Large Language Models (https://arxiv.org/abs/2502.02421). Norms have
one and the output embeddings do; AIM divides by the largest channel of a tensor, so that its factor cancels out.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from evomerge.statistics._shared.statistic import Counts, Options, Shape, Site, Statistic


def _shape(site: Site, options: Options) -> Shape | None:
    if site.inputs is None:
        return None
    # So that it spreads over the tensor as it is on disk.
    return (site.inputs, 1) if site.transposed else (site.inputs,)


def _add(total: torch.Tensor, seen: torch.Tensor, options: Options) -> None:
    total.view(-1).add_(seen.to(total.dtype).abs().sum(0))


def _finish(total: torch.Tensor, counts: Counts, weight: Callable[[], torch.Tensor], options: Options) -> torch.Tensor:
    return total.div_(counts.tokens)


STATISTIC = Statistic(
    name="channel_abs",
    version=1,
    summary="mean magnitude of each input channel of each matrix and norm",
    at="input",
    shape=_shape,
    add=_add,
    finish=_finish,
)
