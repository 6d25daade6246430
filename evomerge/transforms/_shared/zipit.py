"""Greedy matching of features within and across models: ZipIt (Stoica et al. 2024, arXiv:2305.03053)."""

from __future__ import annotations

import math

import torch

_LEAST = 1e-7  # of a product of two standard deviations
_SHARE = 1e-5  # added to the number of features that are averaged, as published


def correlation(covariance: torch.Tensor) -> torch.Tensor:
    """Correlations of features, from their covariance."""
    deviation = covariance.diagonal().sqrt()
    return covariance / torch.outer(deviation, deviation).clamp(min=_LEAST)


def zip_features(
    covariance: torch.Tensor, *, models: int = 2, alpha: float = 0.3, beta: float = 0.125
) -> tuple[torch.Tensor, torch.Tensor]:
    """Joins the features of several models until as many are left as one has, the most alike first.

    Ties and near ties are broken by float32 arithmetic, as in the published code.

    Args:
        covariance: Of all features over the same tokens, those of the first model first, (models * units, the same).
        models: How many.
        alpha: Factor on the similarity of what is joined already; 0 joins nothing twice.
        beta: Share of the joins that may be within one model.

    Returns:
        ``merge`` (units, models * units), which averages features, and ``unmerge``, which gives them back.
    """
    similar = correlation(covariance.float()).fill_diagonal_(-math.inf)
    count = similar.shape[0]
    units = count // models
    joined = torch.eye(count)
    origin = torch.arange(models).repeat_interleave(units)
    budget = [int((count - units) // models * beta + 1e-4)] * models
    while joined.shape[1] > units:
        first, second = sorted(divmod(int(similar.argmax()), similar.shape[1]))
        both = origin[first], origin[second]
        left = torch.arange(len(origin)) != second
        joined[:, first] += joined[:, second]
        weaker = torch.minimum(similar[:, first], similar[:, second])
        similar[:, first] = _damped(weaker, alpha, (origin == both[0]) | (origin == both[1]))
        weaker = torch.minimum(similar[first], similar[second])
        similar[first] = _damped(weaker, alpha, (origin == both[0]) | (origin == both[1]))
        joined, similar, origin = joined[:, left], similar[left][:, left], origin[left]
        if both[0] == both[1]:
            budget[int(both[0])] -= 1
            if budget[int(both[0])] <= 0:
                own = origin == both[0]
                similar[own[:, None] & own] = -math.inf
    return (joined / (joined.sum(0, keepdim=True) + _SHARE)).T, joined


def _damped(similar: torch.Tensor, alpha: float, own: torch.Tensor) -> torch.Tensor:
    """Similarities of joined features: scaled, or out of the question for features of the same models."""
    return similar * alpha if alpha > 0 else torch.where(own, -math.inf, similar)
