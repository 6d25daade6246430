"""The acquisition function: by how much a genome is expected to improve on the best that is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Promise", "log_improvement"]

_FAR = 1000.0  # standard deviations; what lies that far below a bound exceeds it by nothing that could be told apart


@dataclass(frozen=True, eq=False)
class Promise:
    """The logarithm of the expected improvement times the probability that a genome is feasible.

    Attributes:
        free: Boxes that improve on what is known, see `log_improvement`; None where nothing known is feasible, as
            then the probability alone counts.
        limit: The constraint's value from which on it is met; None where there is no constraint.
    """

    free: tuple[Tensor, Tensor] | None
    limit: float | None

    def __call__(self, means: Sequence[Tensor], deviations: Sequence[Tensor]) -> Tensor:
        """Of genomes, ``(n,)``; the objectives come first, then the constraint, if there is one; more is better."""
        promised = means[0].new_zeros(len(means[0]))
        if self.free is not None:
            last = self.free[0].shape[1]
            mean, deviation = torch.stack(tuple(means[:last]), dim=1), torch.stack(tuple(deviations[:last]), dim=1)
            promised = promised + log_improvement(mean, deviation, *self.free)
        if self.limit is not None:
            promised = promised + torch.special.log_ndtr((means[-1] - self.limit) / deviations[-1])
        return promised


def log_improvement(mean: Tensor, deviation: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """The logarithm of the expected improvement of one objective, or of the hypervolume of several.

    Objectives are independent, so what a value gains in a box on average is the product of what it gains along each
    side: a closed form (Yang et al. 2019, arXiv:1904.12672), where Optuna averages over 128 samples. Logarithms tell
    genomes apart that promise next to nothing (Ament et al. 2023, arXiv:2310.20708).

    Args:
        mean: Means of normal values, more being better, ``(n, n_obj)``.
        deviation: Their standard deviations, ``(n, n_obj)``.
        lower: Lower ends of the boxes that nothing known dominates, ``(boxes, n_obj)``.
        upper: Their upper ends, infinite where they are open, ``(boxes, n_obj)``.

    Returns:
        ``(n,)``.
    """
    gained = mean.new_zeros(len(mean), len(lower))
    for side in range(mean.shape[1]):
        ends, place = torch.cat([lower[:, side], upper[:, side]]).unique(return_inverse=True)
        excess = _log_excess(mean[:, side, None], deviation[:, side, None], ends)
        low, high = excess[:, place[: len(lower)]], excess[:, place[len(lower) :]]
        gained += low + torch.log(-torch.expm1((high - low).clamp_max(0.0)))
    return torch.logsumexp(gained, dim=1)


def _log_excess(mean: Tensor, deviation: Tensor, bound: Tensor) -> Tensor:
    """The logarithm of what normal values exceed a bound by, on average, in both tails without cancellation."""
    z = (mean - bound) / deviation
    far = z.abs().clamp_max(_FAR)
    ratio = math.sqrt(0.5 * math.pi) * torch.special.erfcx(math.sqrt(0.5) * far)  # of the tail to the density
    tail = -0.5 * far * far - 0.5 * math.log(2.0 * math.pi) + torch.log1p(-far * ratio)
    found = torch.where(z > 0.0, torch.log(z.clamp_min(0.0) + torch.exp(tail)), tail) + deviation.log()
    return torch.where(torch.isinf(bound), -math.inf, found)
