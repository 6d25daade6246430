"""The fields of a recipe about what is not merged tensor by tensor: tokens, chat template, steps after the merge."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evomerge.recipe.sources import without_empty

EMBEDDINGS = ("merge", "base")
# The tokenizers that stand for something in every recipe, and what keeps the reference's.
TOKENIZERS = ("reference", "base", "union")
# What becomes of tensors that only some sources have, see Recipe.unmatched.
UNMATCHED = ("refuse", "freeze", "keep")


@dataclass(frozen=True, eq=False)
class PostStep:
    """A transformation of the merged delta: of the merged tensors minus the base's, before they are rounded.

    Attributes:
        name: Name of the step.
        options: Its options.
        coefficients: Name to values, ``(groups,)``.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    coefficients: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Makes the arrays read-only."""
        frozen = {name: np.array(values, dtype=np.float64) for name, values in self.coefficients.items()}
        for array in frozen.values():
            array.setflags(write=False)
        object.__setattr__(self, "coefficients", frozen)

    def __eq__(self, other: object) -> bool:
        """Equal steps do the same."""
        return isinstance(other, PostStep) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        """Follows :meth:`__eq__`."""
        return hash(json.dumps(self.to_json(), sort_keys=True))

    def to_json(self) -> dict[str, Any]:
        """The fields that are not empty, as a JSON object."""
        values = {name: np.asarray(array).tolist() for name, array in self.coefficients.items()}
        return {"name": self.name} | without_empty({"options": dict(self.options), "coefficients": values})


@dataclass(frozen=True)
class Tokenizer:
    """The tokenizer of the merged model.

    Attributes:
        source: Whose tokenizer it is: the position of a source, ``base``, ``union``, or None for the reference's.
        tokens: Tokens whose embeddings come from somewhere else. Of each an object: ``source``, the position of a
            source, ``base`` or ``zero``; with it ``token`` or ``token_id``, where it is the embedding of another token
            there; and ``force``, whether sources that have the token get that embedding too.
        pad_to_multiple_of: Number of which the rows of the embeddings become the smallest multiple that holds all
            tokens; None leaves the rows that the model has behind its tokens that the tokenizer is from.
    """

    source: int | str | None = None
    tokens: Mapping[str, Any] = field(default_factory=dict)
    pad_to_multiple_of: int | None = None

    @classmethod
    def named(cls, name: str, based: bool) -> Tokenizer:
        """The tokenizer of one of :data:`TOKENIZERS`.

        Args:
            name: The name.
            based: Whether the recipe has a base; without one, the first source is the reference.
        """
        if name == "reference":
            return cls()
        return cls("union" if name == "union" else "base" if based else 0)

    def to_json(self) -> dict[str, Any]:
        """The fields that are not empty, as a JSON object; empty for the reference's own tokenizer."""
        source = {} if self.source is None else {"source": self.source}
        return source | without_empty({"tokens": dict(self.tokens), "pad_to_multiple_of": self.pad_to_multiple_of})
