"""The candidates of one batch, and how far each has come."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evomerge.evaluation import Ask, Evaluation
from evomerge.recipe import Recipe
from evomerge.search.allocation.window import Prefix
from evomerge.search.searchers import Proposal

__all__ = ["Entrants"]


@dataclass
class Entrants:
    """The candidates of a batch, each once: those proposed, then those kept from earlier batches.

    Attributes:
        recipes: Their recipes.
        places: Their places in the batch.
        parents: The proposals that each descends from.
        genomes: Their genomes; None where there is none.
        proposed: Whether each is proposed in this batch; else it is kept from an earlier one.
        row: Proposal id to row.
        found: The last evaluation of each in this batch.
        answered: The items of that evaluation.
        rungs: For each rung, which rows were asked it, and its items.
        asks: Where each was evaluated first on the items that it was asked last; None for what the run had seen before.
    """

    recipes: list[Recipe] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    parents: list[tuple[str, ...]] = field(default_factory=list)
    genomes: list[NDArray[np.float64] | None] = field(default_factory=list)
    proposed: list[bool] = field(default_factory=list)
    row: dict[str, int] = field(default_factory=dict)
    found: dict[int, Evaluation] = field(default_factory=dict)
    answered: dict[int, Prefix] = field(default_factory=dict)
    rungs: list[tuple[NDArray[np.int_], Prefix]] = field(default_factory=list)
    asks: dict[int, Ask] = field(default_factory=dict)

    def add(self, id: str, place: int, recipe: Recipe, proposal: Proposal | None = None) -> None:
        """Adds a candidate, unless an equal one is there."""
        digests = [known.digest for known in self.recipes]
        if recipe.digest in digests:
            self.row[id] = digests.index(recipe.digest)
            return
        self.row[id] = len(self.recipes)
        self.recipes.append(recipe)
        self.places.append(place)
        self.parents.append(proposal.parents if proposal is not None else ())
        self.proposed.append(proposal is not None)
        self.genomes.append(proposal.x if proposal is not None else None)

    def failed(self) -> NDArray[np.bool_]:
        """Which of them could not be scored."""
        return np.array([self.found[row].error is not None for row in range(len(self.recipes))], dtype=bool)
