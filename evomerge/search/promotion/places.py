"""Places in a batch for recipes that were not proposed in it."""

from __future__ import annotations

from collections.abc import Sequence

from evomerge.evaluation import Ask
from evomerge.recipe import Recipe
from evomerge.store import RunStore

__all__ = ["places"]


def places(
    store: RunStore,
    split: str,
    number: int,
    recipes: Sequence[Recipe],
    first: int = 0,
    item_set: str | None = None,
) -> list[int]:
    """The place of each recipe in a batch, equal ones the same: that of its evaluation, else the next free one.

    Places are free unless an earlier session has taken them. So asks that were killed go on with the places that they
    began with, whatever they had come to keep.

    Args:
        store: The run.
        split: The split that is asked.
        number: The batch's number.
        recipes: The recipes.
        first: The first place that may be free.
        item_set: Digest of the items that are asked, where the split's recipes are not all asked the same.
    """
    index, taken = first, set[Ask]()
    found: dict[str, int] = {}
    for recipe in recipes:
        if recipe.digest in found:
            continue
        kept = store.lookup(recipe.digest, split, item_set=item_set)
        if kept is not None:
            found[recipe.digest] = kept.index
            continue
        while (ask := Ask(split, number, index)) in taken or store.at(ask) is not None:
            index += 1
        taken.add(ask)
        found[recipe.digest] = index
    return [found[recipe.digest] for recipe in recipes]
