"""Proportions of n models from n - 1 free numbers, one to one.

A stick of length 1 is broken n - 1 times. With ``u`` uniform in the cube the pieces are uniform on the simplex (a flat
Dirichlet; the stick-breaking view is Sethuraman 1994): piece ``i`` takes the fraction ``1 - (1 - u_i)^(1 / (n - 1 -
i))`` of what is left, and the last piece is what remains then. The map is a bijection of the open cube onto the open
simplex. On the border it is not: when nothing is left, the remaining numbers say nothing; `to_unit` then answers 0.5
for them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["from_unit", "to_unit"]


def from_unit(u: NDArray[np.float64]) -> NDArray[np.float64]:
    """Breaks the stick.

    Args:
        u: Free numbers in [0, 1], ``(..., n - 1)``.

    Returns:
        Proportions, non-negative and adding up to 1, ``(..., n)``.
    """
    free = u.shape[-1]
    shares = np.empty((*u.shape[:-1], free + 1))
    left = np.ones(u.shape[:-1])
    for i in range(free):
        keep = (1.0 - u[..., i]) ** (1.0 / (free - i))
        shares[..., i] = left * (1.0 - keep)
        left = left * keep
    shares[..., free] = left
    return shares


def to_unit(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of `from_unit`; where a share leaves nothing for the later ones, theirs is 0.5.

    Args:
        shares: Non-negative numbers adding up to 1, ``(..., n)``.

    Returns:
        Free numbers in [0, 1], ``(..., n - 1)``.
    """
    free = shares.shape[-1] - 1
    u = np.full((*shares.shape[:-1], free), 0.5)
    # Sums from the end keep what is left exact where it is small.
    rest = np.cumsum(shares[..., ::-1], axis=-1)[..., ::-1]
    for i in range(free):
        some = rest[..., i] > 0.0
        keep = np.divide(rest[..., i + 1], rest[..., i], out=np.ones_like(rest[..., i]), where=some)
        u[..., i] = np.where(some, 1.0 - keep ** (free - i), 0.5)
    return u
