"""Likeness of the deltas of several models: lengths, directions, signs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Likeness:
    """How long the deltas of n models are in some tensors, and how alike. NaN where there is nothing to compare.

    Attributes:
        relative: Length of each delta over that of the base's weights, ``(n,)``.
        changed: Share of the elements that each model changed, ``(n,)``.
        cosine: Cosine between the deltas, ``(n, n)``: 1 for one direction, 0 for deltas that have nothing in common, as
            random ones of many elements have, -1 for opposite ones.
        agreement: Share of the elements which two models both changed that they changed in the same direction,
            ``(n, n)``; a half is chance (the conflicts that Yadav et al. 2023, arXiv:2306.01708, elect signs for).
    """

    relative: Matrix
    changed: Matrix
    cosine: Matrix
    agreement: Matrix


@dataclass(frozen=True)
class Sums:
    """Sums over the elements of some tensors; those of several tensors add up.

    Attributes:
        numel: Number of elements.
        base: Squares of the base's elements.
        products: Inner products of the deltas, ``(n, n)``.
        changed: Elements that two models both changed, ``(n, n)``.
        agreeing: Those that both changed in the same direction, ``(n, n)``.
    """

    numel: int
    base: float
    products: Matrix
    changed: Matrix
    agreeing: Matrix

    @classmethod
    def over(cls, parts: Iterable[Sums]) -> Sums:
        """The sum of at least one."""
        found = list(parts)
        return cls(
            sum(part.numel for part in found),
            sum(part.base for part in found),
            np.sum([part.products for part in found], axis=0),
            np.sum([part.changed for part in found], axis=0),
            np.sum([part.agreeing for part in found], axis=0),
        )

    def likeness(self) -> Likeness:
        """Lengths, cosines and agreement that follow from the sums."""
        squares = np.diag(self.products)
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = np.sqrt(squares / self.base) if self.base else np.full(len(squares), np.nan)
            cosine = self.products / np.sqrt(np.outer(squares, squares))
            agreement = self.agreeing / self.changed
            changed = np.diag(self.changed) / self.numel if self.numel else np.full(len(squares), np.nan)
        return Likeness(relative, changed, np.clip(cosine, -1.0, 1.0), agreement)
