"""TSV-M of clipped deltas, with more triples of denser deltas: a rule of ours.

It follows two ideas that the abstract of Yang et al. 2025 names for its R-TSVM, outlier-aware weighting and
sparsity-adaptive ranks. The paper's formulas are not known here and its code is not released: this is not that method,
and says nothing about it.

- Elements of a matrix's delta are clipped to ``clip`` standard deviations around its mean, 3 unless said otherwise.
- The share of triples of a delta follows its effective density, ``sum|x|**2 / (N * sum(x**2))`` of its N elements: 1
  where all are as large, 0 towards a single one. With ``keep: share`` the shares of all deltas make up the matrix's
  rank; with ``keep: all`` the densest keeps all of its triples.

Everything else is :mod:`~evomerge.methods.tsvm`, its options, what is prepared and what a candidate costs among it.
Deltas of equal density without outliers give what that gives.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from evomerge.methods._shared.inputs import Options
from evomerge.methods._shared.spectral.decomposition import Svd, one_thread, svd
from evomerge.methods._shared.spectral.task_triples import TASK_OPTIONS, most_triples, orthogonalising
from evomerge.options import Option

CLIP = Option(3.0, None, float, "standard deviations around a delta's mean to which its elements are clipped", low=0.1)


def leading(deltas: Sequence[torch.Tensor], options: Options) -> list[Svd]:
    """The leading triples of the clipped deltas, the more the denser a delta is; at least one."""
    with one_thread():  # sums
        clipped = [clip(delta, options["clip"]) for delta in deltas]
        densities = [effective_density(delta) for delta in clipped]
    counts = ranks(densities, most_triples(deltas, options), share=options["keep"] == "share")
    return [svd(delta).top(count) for delta, count in zip(clipped, counts, strict=True)]


def clip(delta: torch.Tensor, deviations: float) -> torch.Tensor:
    """A delta whose elements lie within so many standard deviations of their mean."""
    deviation, mean = torch.std_mean(delta.to(torch.float64), correction=0)
    low, high = float(mean - deviations * deviation), float(mean + deviations * deviation)
    return delta.clamp(low, high)


def effective_density(delta: torch.Tensor) -> float:
    """Between 0 and 1: how near the elements are to being of one magnitude; 0 of a delta that is zero."""
    values = delta.to(torch.float64)
    squares = float(values.square().sum())
    return float(values.abs().sum()) ** 2 / (delta.numel() * squares) if squares else 0.0


def ranks(densities: Sequence[float], most: float, *, share: bool) -> list[int]:
    """Numbers of triples in proportion to densities, at least one of each.

    Args:
        densities: Of all deltas.
        most: What each gets if they are alike.
        share: Whether the mean gets that, so that all together get as many as if they were alike; else the densest.
    """
    unit = sum(densities) / len(densities) if share else max(densities)
    # Of equal densities the quotient may be a rounding below one.
    return [max(1, int(most * (density / unit) + 1e-9)) if unit else 1 for density in densities]


METHOD = orthogonalising(
    name="tsvm_robust",
    summary="TSV-M of clipped deltas, with more triples of denser ones; ours",
    paper="ours, on Gargiulo et al. 2025, Task singular vectors, https://arxiv.org/abs/2412.00081, after the abstract "
    "of Yang et al. 2025, https://arxiv.org/abs/2502.06876",
    leading=leading,
    options={"clip": CLIP, **TASK_OPTIONS},
)
