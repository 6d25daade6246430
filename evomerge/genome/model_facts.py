"""Facts of a search space's models beside their tensor names."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

__all__ = ["ModelFacts"]


@dataclass(frozen=True)
class ModelFacts:
    """Facts of each of a recipe's models, in their order.

    Attributes:
        changed: The tensors in which each differs from the base, None if that may be all; empty if it is not known.
        depths: The number of layers of each, where paths may go through unlike ones; empty: they have as many.
    """

    changed: Sequence[Collection[str] | None] = ()
    depths: Sequence[int] = ()
