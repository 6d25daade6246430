"""Likeness of the deltas of several models: lengths, directions, signs, and kinship.

:class:`Sums` of single tensors, or of the whole model, are what everything follows from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

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
class Kinship:
    """Kinship of n models: three measures of Hu et al. 2024 (arXiv:2410.12613), ``(n, n)``. NaN where one has no value.

    Attributes:
        correlation: Pearson's correlation between the elements of two deltas.
        cosine: Absolute value of the cosine between two deltas.
        distance: Euclidean distance between two deltas, and so between two models, in the unit of the weights.
    """

    correlation: Matrix
    cosine: Matrix
    distance: Matrix

    @classmethod
    def mean(cls, parts: Sequence[Kinship], weights: Sequence[float]) -> Kinship:
        """The weighted mean of at least one; of each number over the parts in which it has a value.

        The paper's code calls it split: parts are tensors, weights their numbers of elements.
        """

        def averaged(values: Sequence[Matrix]) -> Matrix:
            known = np.isfinite(values)
            shares = known * np.asarray(weights, dtype=np.float64)[:, None, None]
            with np.errstate(invalid="ignore"):
                mean: Matrix = np.sum(np.where(known, values, 0.0) * shares, axis=0) / shares.sum(axis=0)
            return mean

        return cls(*(averaged([getattr(part, field.name) for part in parts]) for field in fields(cls)))


@dataclass(frozen=True)
class Sums:
    """Sums over the elements of some tensors; those of several tensors add up.

    Attributes:
        numel: Number of elements.
        base: Squares of the base's elements.
        totals: Elements of each delta, ``(n,)``.
        products: Inner products of the deltas, ``(n, n)``.
        changed: Elements that two models both changed, ``(n, n)``.
        agreeing: Those that both changed in the same direction, ``(n, n)``.
    """

    numel: int
    base: float
    totals: Matrix
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
            np.sum([part.totals for part in found], axis=0),
            np.sum([part.products for part in found], axis=0),
            np.sum([part.changed for part in found], axis=0),
            np.sum([part.agreeing for part in found], axis=0),
        )

    def likeness(self) -> Likeness:
        """Lengths, cosines and agreement that follow from the sums."""
        squares = np.diag(self.products)
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = np.sqrt(squares / self.base) if self.base else np.full(len(squares), np.nan)
            agreement = self.agreeing / self.changed
            changed = np.diag(self.changed) / self.numel if self.numel else np.full(len(squares), np.nan)
        return Likeness(relative, changed, _normalised(self.products), agreement)

    def kinship(self, mixtures: Matrix | None = None) -> Kinship:
        """Kinship of the models, or of task arithmetic between them.

        Args:
            mixtures: Coefficients of the deltas in each of m models, ``(m, n)``: a model is the base plus a weighted
                sum of deltas, and none of its weights has to be computed. None is the n models themselves.

        Returns:
            Matrices ``(n, n)``, or ``(m, m)``.
        """
        totals, products = self.totals, self.products
        if mixtures is not None:
            totals, products = mixtures @ totals, mixtures @ products @ mixtures.T
        squares = np.diag(products)
        away = np.maximum(squares[:, None] + squares - 2.0 * products, 0.0)
        if not self.numel:
            nothing = np.full_like(products, np.nan)
            return Kinship(nothing, nothing, np.sqrt(away))
        centred = products - np.outer(totals, totals) / self.numel
        return Kinship(_normalised(centred), np.abs(_normalised(products)), np.sqrt(away))


def _normalised(products: Matrix) -> Matrix:
    """Cosines from inner products; NaN where a length is zero."""
    lengths = np.sqrt(np.maximum(np.diag(products), 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.clip(products / np.outer(lengths, lengths), -1.0, 1.0)
