"""The experts of a search and the recipes that are made of them, for searchers that choose among models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis import Sums
from evomerge.errors import InputError
from evomerge.recipe import Recipe, Source
from evomerge.search.searchers._shared.span import ModelSpan

__all__ = ["ExpertPool", "MakeRecipe"]


class MakeRecipe(Protocol):
    """Makes recipes of the search's method, with the same coefficients for all tensors that the user fixed none of."""

    def __call__(self, sources: Sequence[Source], shares: Sequence[float]) -> Recipe:
        """The recipe of some experts and recipes.

        Args:
            sources: What is merged; the pool's base is the base, if the method takes one.
            shares: The part of each, adding up to 1.

        Raises:
            InputError: If the method does not merge so many, or takes no unequal shares.
        """
        ...


@dataclass(frozen=True, eq=False)
class ExpertPool:
    """The experts of a search, and how recipes are made of them.

    Attributes:
        experts: The models that are merged, two or more.
        alone: Each of them as the baselines have it; scored before the search, so asking it costs nothing.
        merge: Makes a recipe of sources, which may be recipes.
        most: The most sources that the method merges at once; None for any number.
        weighted: Whether the method takes unequal shares.
        sums: Gives inner products of the experts' deltas over all tensors; None where there is no base. Every weight is
            read at the first call.
        cosines: Gives the mean cosine between columns of the experts' weights, ``(n, n)``; the same holds.
        span: Gives their weighted sums, whose parts may have weights of their own; None where the method does more than
            add weights. An `InputError` says what of the search does not go with them.
    """

    experts: tuple[Source, ...]
    alone: tuple[Recipe, ...]
    merge: MakeRecipe
    most: int | None = None
    weighted: bool = True
    sums: Callable[[], Sums] | None = None
    cosines: Callable[[], NDArray[np.float64]] | None = None
    span: Callable[[], ModelSpan] | None = None

    def __post_init__(self) -> None:
        """Refuses a single expert."""
        if len(self.experts) < 2 or len(self.experts) != len(self.alone):
            raise InputError(f"there is nothing to choose: expected two or more models, got {len(self.experts)}")
