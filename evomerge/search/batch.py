"""Batches: recipes that are scored together, and their evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evomerge.evaluation import Ask, Evaluation
from evomerge.recipe import Recipe

__all__ = ["Batch", "BatchResult"]


@dataclass(frozen=True)
class Batch:
    """Recipes to be scored together.

    Attributes:
        recipes: In the order of the ask.
        split: The split of the items.
        number: Which batch of the split it is.
        items: Task to item ids.
        names: One per recipe, None for candidates; empty when there are only candidates.
        parents: Per recipe, the ids of the proposals it descends from; empty when there are none.
        indices: The place of each recipe in the batch; empty where that is its place in ``recipes``.
        limit: At most so many of the recipes that are new to the run are scored; None for all.
        history: The last batch of the split whose answers are drafts for these recipes, see `DraftBook`; None where
            nobody was asked before: so it is in the split's batch 0.
        rung: How often these recipes have been asked other items of this batch before.
        probabilities: Task to the inclusion probability of each of its items; None where all are 1.
    """

    recipes: Sequence[Recipe]
    split: str
    number: int
    items: Mapping[str, tuple[str, ...]]
    names: Sequence[str | None] = ()
    parents: Sequence[tuple[str, ...]] = ()
    indices: Sequence[int] = ()
    limit: int | None = None
    history: int | None = None
    rung: int = 0
    probabilities: Mapping[str, tuple[float, ...]] | None = None

    def ask(self, place: int) -> Ask:
        """Where in the run a recipe is asked."""
        return Ask(self.split, self.number, self.indices[place] if self.indices else place, self.rung)


@dataclass(frozen=True)
class BatchResult:
    """The evaluations of a batch.

    Attributes:
        found: One evaluation per recipe, the same object for equal recipes; None where the limit or the clock came
            first.
        new: The evaluations that the run had not seen in an earlier batch or rung, in the order of the ask.
        fresh: Whether any of them was made now.
        expired: Whether the wall time ended before all that the limit allows were scored.
    """

    found: tuple[Evaluation | None, ...]
    new: tuple[Evaluation, ...]
    fresh: bool
    expired: bool

    @property
    def complete(self) -> bool:
        """Whether every recipe has its evaluation."""
        return all(evaluation is not None for evaluation in self.found)

    @property
    def evaluations(self) -> list[Evaluation]:
        """The evaluations that are there, in the order of the ask."""
        return [evaluation for evaluation in self.found if evaluation is not None]
