"""Changes of one tensor of a base by an adapter."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Factors:
    """The tensors of one low-rank product, by their names in the adapter.

    Attributes:
        left: Of ``(rows, rank)``, perhaps after a transposition.
        right: Of ``(rank, columns)``, likewise.
        transposed: Whether both are stored the other way round.
        scale: Factor of the product.
        magnitude: The norms that the weight's outputs get (DoRA), or None.
        outputs: Dimension of the weight that runs over its outputs.
    """

    left: str
    right: str
    transposed: bool
    scale: float
    magnitude: str | None = None
    outputs: int = 0


@dataclass(frozen=True)
class Change:
    """Steps from one tensor of the base to the fine-tuned one, in this order.

    Attributes:
        replaced: The adapter's tensor that stands in for the base's, or None.
        factors: A low-rank product that is added.
        shift: A tensor that is added, with its factor.
        rows: A tensor whose rows replace some of the tensor's own, with their places.
    """

    replaced: str | None = None
    factors: Factors | None = None
    shift: tuple[str, float] | None = None
    rows: tuple[str, tuple[int, ...]] | None = None

    @property
    def only_replaced(self) -> bool:
        """Whether nothing is computed."""
        return self.factors is None and self.shift is None and self.rows is None
