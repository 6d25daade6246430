"""How far a smooth metric ranks as the one that is wanted, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ALONE", "TOGETHER", "Blend", "blend", "kendall"]

Vector = NDArray[np.float64]

ALONE, TOGETHER = 0.9, 0.75  # ceilings from which a proxy ranks by itself, and beside what is wanted
FEWEST = 20  # candidates behind a ceiling; before there are so many, no proxy ranks


@dataclass(frozen=True)
class Blend:
    """The worth of an answer: a share of what is wanted, and of the proxy in its units.

    Attributes:
        share: Share of the proxy: 0, 1/2 or 1.
        intercept: Of the line from the proxy to what is wanted.
        slope: Of the same.
        ceiling: Kendall's tau of the two over candidates; NaN where there are too few.
        candidates: How many these are.
    """

    share: float = 0.0
    intercept: float = 0.0
    slope: float = 0.0
    ceiling: float = float("nan")
    candidates: int = 0

    def __call__(self, wanted: NDArray[np.float64], proxy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Answers as they count, item by item."""
        if self.share == 0.0:
            return wanted
        return np.asarray((1.0 - self.share) * wanted + self.share * (self.intercept + self.slope * proxy))


def kendall(first: Vector, second: Vector) -> float:
    """Kendall's tau-b of two scores of the same candidates; 0 where one of them is the same for all."""
    a, b = np.triu_indices(len(first), 1)
    one, two = np.sign(first[a] - first[b]), np.sign(second[a] - second[b])
    scale = np.sqrt(float((one != 0).sum()) * float((two != 0).sum()))
    return float((one * two).sum() / scale) if scale > 0.0 else 0.0


def blend(wanted: Vector, proxy: Vector) -> Blend:
    """The use of a proxy that its ceiling allows: alone from 0.9, half and half from 0.75, else none.

    The ceiling is the agreement of both metrics over candidates that have answered much: no number of items lets the
    proxy rank better than that. A line through the same candidates brings the proxy to the units of what is wanted,
    and turns it around where less of one is more of the other.

    Args:
        wanted: Scores of candidates that have answered much, ``(n,)``.
        proxy: The proxy's means on the same items, ``(n,)``.
    """
    count = len(wanted)
    if count < FEWEST or float(proxy.std()) <= 0.0:
        return Blend(candidates=count)
    tau = kendall(wanted, proxy)
    slope = float(((proxy - proxy.mean()) * (wanted - wanted.mean())).sum() / ((proxy - proxy.mean()) ** 2).sum())
    if abs(tau) < TOGETHER or slope * tau <= 0.0:
        return Blend(ceiling=tau, candidates=count)
    share = 1.0 if abs(tau) >= ALONE else 0.5
    return Blend(share, float(wanted.mean() - slope * proxy.mean()), slope, tau, count)
