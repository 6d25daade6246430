"""Scores of models whose weights were not rounded, of a run that scores quantised candidates."""

from __future__ import annotations

from dataclasses import dataclass, field

from evomerge.errors import InputError
from evomerge.store.run import RunStore

__all__ = ["UNQUANTISED", "Unquantised", "unquantised"]

UNQUANTISED = "unquantised.json"


@dataclass(frozen=True)
class Unquantised:
    """Scores beside those of quantised models.

    Attributes:
        dtype: Number type of the weights that were not rounded.
        scores: Digest of the recipe to metric key to value, on the items of its evaluation.
        split: The split of the items.
        item_set: Digest of the items; empty where the run did not record it.
    """

    dtype: str = ""
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    split: str = "search"
    item_set: str = ""


def unquantised(store: RunStore) -> Unquantised:
    """The scores; none where none were taken.

    Raises:
        InputError: If the file holds something else.
    """
    data = store.read_json(UNQUANTISED)
    if data is None:
        return Unquantised()
    try:
        scores = {
            str(digest): {str(key): float(value) for key, value in own.items()}
            for digest, own in data["scores"].items()
        }
        on = str(data.get("split", "search")), str(data.get("item_set", ""))
        return Unquantised(str(data["dtype"]), scores, *on)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{store.folder / UNQUANTISED} does not hold scores of unquantised models: {error!r}. Remove it and repeat "
            "the command of the run, which takes them again"
        ) from error
