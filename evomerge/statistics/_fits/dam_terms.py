"""The loss that DAM's coefficients are fitted by (Gauthier-Caron et al. 2024, arXiv:2410.08371).

On the texts of each expert the merged model is to give what that expert gives. Further terms look at the coefficients
alone; of these the published default has the similarity, which keeps the experts' coefficients apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
from torch.nn import functional

from evomerge.statistics._fits.settings import Terms

_TINY = 1e-9  # inside the logarithm of a probability
_LEAST = 1e-8  # added to norms of columns


def divergence(merged: torch.Tensor, expert: torch.Tensor, temperature: float) -> torch.Tensor:
    """Sum over tokens of the divergence, scaled by the square of the temperature; logits are (tokens, vocabulary)."""
    found = functional.kl_div(
        functional.log_softmax(merged / temperature, -1),
        functional.log_softmax(expert / temperature, -1),
        reduction="sum",
        log_target=True,
    )
    return found * temperature**2


def squared_difference(merged: torch.Tensor, expert: torch.Tensor) -> torch.Tensor:
    """Sum over tokens of the mean squared difference of logits."""
    return (merged - expert).square().mean(-1).sum()


def entropy(merged: torch.Tensor, temperature: float) -> torch.Tensor:
    """Sum over tokens of the entropy, scaled by the square of the temperature."""
    chances = functional.softmax(merged / temperature, -1)
    return -(chances * torch.log(chances + _TINY)).sum() * temperature**2


def similarity(coefficients: Sequence[torch.Tensor]) -> torch.Tensor:
    """Mean cosine of the coefficients of two experts, over all pairs."""
    pairs = [functional.cosine_similarity(a, b, dim=0) for a, b in combinations(coefficients, 2)]
    return torch.stack(pairs).mean()


def overlap(coefficients: Sequence[torch.Tensor], weights: torch.Tensor | None = None) -> torch.Tensor:
    """Sum over columns of the smaller magnitude of two experts' coefficients, as a mean over pairs.

    Args:
        coefficients: Of each expert.
        weights: Of the columns of each pair; see `angle_weights`.
    """
    smaller = torch.stack([torch.minimum(a.abs(), b.abs()) for a, b in combinations(coefficients, 2)])
    return (smaller if weights is None else smaller * weights).sum(-1).mean()


def angle_weights(deltas: Sequence[torch.Tensor]) -> torch.Tensor:
    """Weights of columns by the angle of two experts' deltas: largest at 45 degrees, (pairs, columns).

    Args:
        deltas: Of each expert, (out, in).
    """
    found = []
    for a, b in combinations(deltas, 2):
        size = (a.norm(dim=0) + _LEAST) * (b.norm(dim=0) + _LEAST)
        found.append(torch.acos(((a * b).sum(0) / size).clamp(-1.0, 1.0)))
    return torch.sin(2 * torch.stack(found)).square()


def of_coefficients(coefficients: Sequence[Sequence[torch.Tensor]], terms: Terms) -> torch.Tensor:
    """The terms that look at the coefficients alone, over all matrices.

    Args:
        coefficients: Of each matrix those of each expert.
        terms: Weights.
    """
    total = torch.zeros(())
    for own in coefficients:
        if terms.similarity:
            total = total + terms.similarity * similarity(own)
        if terms.absolute:
            total = total + terms.absolute * torch.stack([one.norm(1) for one in own]).sum()
        if terms.euclidean:
            total = total + terms.euclidean * torch.stack([one.norm(2) for one in own]).sum()
        if terms.overlap:
            total = total + terms.overlap * overlap(own)
    return total
