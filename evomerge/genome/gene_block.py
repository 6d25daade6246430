"""One coefficient along one profile of groups: the unit from which a genome is put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from evomerge.genome import simplex

__all__ = ["Block", "GeneBlock", "NotExpressible"]

TOLERANCE = 1e-9  # in units of the search range; far above rounding, far below what changes a model


class NotExpressible(ValueError):
    """A recipe that no genome of this search space decodes to."""


class Block(Protocol):
    """Some of the genes of a genome, all of one coefficient."""

    @property
    def coefficient(self) -> str:
        """Name of the coefficient."""

    @property
    def labels(self) -> tuple[str, ...]:
        """One per gene."""

    @property
    def n_genes(self) -> int:
        """Number of genes."""

    def put(self, genes: NDArray[np.float64], values: NDArray[np.float64]) -> None:
        """Writes the coefficients that some genes stand for into the array of a recipe."""

    def take(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Genes ``(n_genes,)`` whose `put` writes what stands in the array of a recipe.

        Raises:
            NotExpressible: If there are none.
        """

    def mark(self, searched: NDArray[np.bool_]) -> None:
        """Sets a mask of the array of a recipe where these genes write."""


@dataclass(frozen=True, eq=False)
class GeneBlock:
    """The genes of one coefficient on some groups.

    Attributes:
        coefficient: Its name.
        rows: The groups it fills, ``m`` of them.
        weights: Matrix from control values to group values, ``(m, k)``, rows non-negative and adding up to 1.
        models: Number of models with a value each; 0 when one value is shared by all.
        simplex: Whether the values over models are proportions.
        low: Value of a gene at 0; not used for proportions.
        high: Value of a gene at 1; not used for proportions.
        labels: One per gene.
    """

    coefficient: str
    rows: tuple[int, ...]
    weights: NDArray[np.float64]
    models: int
    simplex: bool
    low: float
    high: float
    labels: tuple[str, ...]

    @property
    def n_genes(self) -> int:
        """Number of genes: control values times free numbers per control."""
        return len(self.labels)

    def decode(self, genes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values of the groups, ``(m, models)``, or ``(m,)`` when shared, from genes ``(n_genes,)`` in [0, 1]."""
        controls = genes.reshape(self.weights.shape[1], -1)
        if self.simplex:
            low, high, points = 0.0, 1.0, simplex.from_unit(controls)
        else:
            low, high = self.low, self.high
            points = (1.0 - controls) * low + controls * high
        # Exact arithmetic would stay inside; this takes back the last bit of rounding and nothing else.
        values = np.clip(self.weights @ points, low, high)
        return values if self.models else values[:, 0]

    def encode(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Genes ``(n_genes,)`` whose `decode` is ``values``.

        Args:
            values: ``(m, models)``, or ``(m,)`` when shared.

        Raises:
            NotExpressible: if the values are off the curve or out of bounds.
        """
        columns = values if self.models else values[:, None]
        if self.simplex:
            totals = columns.sum(axis=1, keepdims=True)
            if (columns < 0.0).any() or (totals <= 0.0).any():
                raise NotExpressible(f"{self.coefficient} holds values that are not proportions: {columns.tolist()}")
            columns = columns / totals
        controls = self._controls(columns)
        if self.simplex:
            shares = self.inside(controls)
            return simplex.to_unit(shares / shares.sum(axis=1, keepdims=True)).ravel()
        return self.inside((controls - self.low) / (self.high - self.low)).ravel()

    def put(self, genes: NDArray[np.float64], values: NDArray[np.float64]) -> None:
        """See :meth:`Block.put`."""
        values[list(self.rows)] = self.decode(genes)

    def take(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """See :meth:`Block.take`."""
        return self.encode(values[list(self.rows)])

    def mark(self, searched: NDArray[np.bool_]) -> None:
        """See :meth:`Block.mark`."""
        searched[list(self.rows)] = True

    def _controls(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Control values whose curve passes through the given values."""
        if np.array_equal(self.weights, np.eye(*self.weights.shape)):
            return values
        controls = np.linalg.lstsq(self.weights, values, rcond=None)[0]
        scale = 1.0 if self.simplex else self.high - self.low
        if np.abs(self.weights @ controls - values).max() > TOLERANCE * scale:
            raise NotExpressible(f"the values of {self.coefficient} over depth do not lie on a curve of this search")
        return np.asarray(controls)

    def inside(self, units: NDArray[np.float64]) -> NDArray[np.float64]:
        """Genes as they are but for rounding.

        Raises:
            NotExpressible: If one lies outside [0, 1].
        """
        return inside(units, self.coefficient, f"outside the search range [{self.low}, {self.high}]")


def inside(units: NDArray[np.float64], name: str, otherwise: str) -> NDArray[np.float64]:
    """Genes of a coefficient as they are but for rounding.

    Args:
        units: The genes.
        name: The coefficient.
        otherwise: What a value is whose gene lies outside [0, 1].

    Raises:
        NotExpressible: If there is one.
    """
    if units.min() < -TOLERANCE or units.max() > 1.0 + TOLERANCE:
        raise NotExpressible(f"a value of {name} is {otherwise}")
    return np.clip(units, 0.0, 1.0)
