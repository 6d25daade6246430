"""Linear CKA of what leaves two layers, whatever their rotation and scale.

Kornblith et al. 2019, Similarity of Neural Network Representations Revisited (https://arxiv.org/abs/1905.00414), with
the unbiased estimate of HSIC (Song et al. 2012, Feature Selection via Dependence Maximization) added up over texts, as
Nguyen, Raghu and Kornblith 2021 do over batches (https://arxiv.org/abs/2010.15327): so all texts count, and what is
held does not grow with them. A text counts by its tokens; one of fewer than four has no unbiased estimate.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from evomerge.statistics._shared.statistic import Counts, Options, Shape, Site, Statistic

_FEWEST = 4  # tokens


def _shape(site: Site, options: Options) -> Shape | None:
    return (site.shape[0], site.shape[0])


def _add(total: torch.Tensor, seen: torch.Tensor, options: Options) -> None:
    tokens = seen.shape[1]
    if tokens < _FEWEST:
        return
    left = seen[1:].to(total.dtype)
    centred = u_centred(left @ left.mT).flatten(1)
    total.addmm_(centred, centred.T, alpha=1 / (tokens - 3))  # HSIC times tokens


def u_centred(products: torch.Tensor) -> torch.Tensor:
    """Symmetric matrices without their diagonal, whose rows then sum to zero; in place.

    Their inner product is the unbiased estimate of HSIC times ``tokens * (tokens - 3)``.

    Args:
        products: ``(..., tokens, tokens)``.
    """
    tokens = products.shape[-1]
    products.diagonal(dim1=-2, dim2=-1).zero_()
    rows = products.sum(-1) / (tokens - 2)
    whole = rows.sum(-1)[..., None, None] / (tokens - 1)
    products.sub_(rows[..., :, None]).sub_(rows[..., None, :]).add_(whole)
    products.diagonal(dim1=-2, dim2=-1).zero_()
    return products


def _finish(total: torch.Tensor, counts: Counts, weight: Callable[[], torch.Tensor], options: Options) -> torch.Tensor:
    lengths = total.diagonal().clamp(min=torch.finfo(total.dtype).tiny).sqrt()
    return total / (lengths[:, None] * lengths[None, :])


STATISTIC = Statistic(
    name="layer_cka",
    version=1,
    summary="linear CKA of what leaves any two layers",
    at="states",
    shape=_shape,
    add=_add,
    finish=_finish,
    dtype=torch.float64,
)
