"""Conjugate gradients for symmetric systems whose unknown is a matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

TOLERANCE = 1e-5  # of the residual, relative to the right side


@dataclass(frozen=True)
class Solved:
    """An approximate solution.

    Attributes:
        values: The unknown, float64.
        iterations: How many were taken.
        residual: Norm of the residual, relative to that of the right side.
        converged: Whether the residual is within the tolerance.
    """

    values: torch.Tensor
    iterations: int
    residual: float
    converged: bool


def solve(
    product: Callable[[torch.Tensor], torch.Tensor],
    right: torch.Tensor,
    start: torch.Tensor,
    *,
    iterations: int,
    tolerance: float = TOLERANCE,
) -> Solved:
    """Solves ``product(X) = right`` by conjugate gradients without a preconditioner.

    Of a singular system this is the solution next to the start, so what the data say nothing of stays as it was. It
    stops, as scipy's solver does, once the updated residual is below ``tolerance`` times the norm of the right side.

    Args:
        product: The symmetric, positive semidefinite operator.
        right: The right side; where it is zero, the start is the solution.
        start: Where to begin, of the right side's shape.
        iterations: The most.
        tolerance: Of the residual.
    """
    right, found = right.double(), start.double().clone()
    size = float(right.norm())
    if size == 0.0:
        return Solved(found, 0, 0.0, True)
    residual = right - product(found)
    direction, before, taken = residual.clone(), 0.0, 0
    while taken < iterations and float(residual.norm()) >= tolerance * size:
        now = float((residual * residual).sum())
        direction = residual + (now / before) * direction if taken else residual.clone()
        moved = product(direction)
        along = float((direction * moved).sum())
        if along <= 0.0:  # rounding has used up what the operator can tell
            break
        found += (now / along) * direction
        residual -= (now / along) * moved
        before, taken = now, taken + 1
    left = float(residual.norm()) / size
    return Solved(found, taken, left, left < tolerance)
