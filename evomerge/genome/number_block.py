"""Numbers of an existing recipe as genes: the parts of a genome that a template recipe gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evomerge.genome import simplex
from evomerge.genome.gene_block import TOLERANCE, NotExpressible, inside

__all__ = ["NumberBlock", "ShareBlock"]

# In units of the search range: the rounding of a value that goes to a gene and comes back.
_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class NumberBlock:
    """Numbers that the file gives, each with a gene of its own, and the coefficients that follow from them.

    Attributes:
        coefficient: Name of the coefficient.
        cells: Index arrays of the coefficients in the array of the recipe: rows, and slots where there are slots; ``m``
            of them.
        weights: Matrix from numbers to coefficients, ``(m, k)``.
        own: The coefficients of the template recipe, ``(m,)``. What comes back to them but for rounding is made them.
        low: Value of a gene at 0.
        high: Value of a gene at 1.
        labels: One per gene.
    """

    coefficient: str
    cells: tuple[NDArray[np.intp], ...]
    weights: NDArray[np.float64]
    own: NDArray[np.float64]
    low: float
    high: float
    labels: tuple[str, ...]

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return len(self.labels)

    def put(self, genes: NDArray[np.float64], values: NDArray[np.float64]) -> None:
        """Writes the coefficients that some genes stand for into a recipe's array."""
        numbers = (1.0 - genes) * self.low + genes * self.high
        found = np.clip(self.weights @ numbers, self.low, self.high)
        values[self.cells] = _snapped(found, self.own, self.high - self.low)

    def take(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Genes ``(n_genes,)`` whose `put` writes what stands in a recipe's array.

        Raises:
            NotExpressible: If there are none.
        """
        span = self.high - self.low
        numbers = _numbers(self.weights, values[self.cells][:, None], span, self.coefficient)[:, 0]
        return inside((numbers - self.low) / span, self.coefficient, f"outside [{self.low}, {self.high}]")

    def mark(self, searched: NDArray[np.bool_]) -> None:
        """Sets where a mask of a recipe's array is searched."""
        searched[self.cells] = True


@dataclass(frozen=True, eq=False)
class ShareBlock:
    """Numbers of a normalised coefficient, of which only the proportions between the models matter.

    The sums over the models stay what they are in the file, so n models give n - 1 genes.

    Attributes:
        coefficient: Name of the coefficient.
        rows: Rows of the recipe's array, ``m`` of them.
        weights: Matrix from control points to rows, the same for every model, ``(m, k)``.
        totals: Sums over the models at the control points, ``(k,)``.
        own: The coefficients of the template recipe, ``(m, models)``.
        labels: One per gene.
    """

    coefficient: str
    rows: NDArray[np.intp]
    weights: NDArray[np.float64]
    totals: NDArray[np.float64]
    own: NDArray[np.float64]
    labels: tuple[str, ...]

    @property
    def n_genes(self) -> int:
        """Number of genes: models but one, times control points."""
        return len(self.labels)

    def put(self, genes: NDArray[np.float64], values: NDArray[np.float64]) -> None:
        """Writes the coefficients that some genes stand for into a recipe's array."""
        shares = simplex.from_unit(genes.reshape(len(self.totals), -1))
        found = self.weights @ (shares * self.totals[:, None])
        values[self.rows, : found.shape[1]] = _snapped(found, self.own, float(self.totals.max()))

    def take(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Genes ``(n_genes,)`` whose `put` writes what stands in a recipe's array, up to the sums over the models.

        Raises:
            NotExpressible: If there are none.
        """
        given = values[self.rows, : self.own.shape[1]]
        sums, own = given.sum(axis=1, keepdims=True), self.own.sum(axis=1, keepdims=True)
        if (given < 0.0).any() or (sums <= 0.0).any():
            raise NotExpressible(f"{self.coefficient} holds values that are not proportions: {given.tolist()}")
        points = _numbers(self.weights, given / sums * own, float(self.totals.max()), self.coefficient)
        shares = inside(points / points.sum(axis=1, keepdims=True), self.coefficient, "no proportion")
        return simplex.to_unit(shares / shares.sum(axis=1, keepdims=True)).ravel()

    def mark(self, searched: NDArray[np.bool_]) -> None:
        """Sets where a mask of a recipe's array is searched."""
        searched[self.rows, : self.own.shape[1]] = True


def _snapped(found: NDArray[np.float64], own: NDArray[np.float64], span: float) -> NDArray[np.float64]:
    return np.where(np.abs(found - own) <= _ROUNDING * span, own, found)


def _numbers(weights: NDArray[np.float64], values: NDArray[np.float64], span: float, name: str) -> NDArray[np.float64]:
    """The numbers that some values follow from."""
    numbers = np.linalg.lstsq(weights, values, rcond=None)[0]
    if np.abs(weights @ numbers - values).max() > TOLERANCE * span:
        raise NotExpressible(f"the values of {name} do not follow from as few numbers as the recipe gives for it")
    return np.asarray(numbers)
