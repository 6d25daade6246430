"""Drafts: a tree of tokens that a row may go on with, most probable branches first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np


def chain_ends(length: int) -> np.ndarray:
    """Ends of the subtrees of a sequence's tokens: each goes to the end."""
    return np.full(length, length)


@dataclass(eq=False)
class DraftTree:
    """Drafted tokens in depth-first order.

    Attributes:
        tokens: The tokens.
        parents: Index of the token before each; -1 where a draft begins.
    """

    tokens: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)

    @classmethod
    def chain(cls, tokens: Sequence[int]) -> DraftTree:
        """A draft without forks."""
        return cls(list(tokens), list(range(-1, len(tokens) - 1)))

    def add(self, token: int, parent: int) -> int:
        """Adds a token and returns its index; the subtree of an earlier sibling is complete."""
        self.tokens.append(token)
        self.parents.append(parent)
        return len(self.tokens) - 1

    def children(self) -> Mapping[int, Mapping[int, int]]:
        """Index of a token to its next tokens, each with its index."""
        found: dict[int, dict[int, int]] = {}
        for index, (token, parent) in enumerate(zip(self.tokens, self.parents, strict=True)):
            found.setdefault(parent, {})[token] = index
        return found

    def depths(self) -> np.ndarray:
        """``(length,)``, number of drafted tokens before each on its branch."""
        depths = np.zeros(len(self.tokens), dtype=np.int64)
        for index, parent in enumerate(self.parents):
            depths[index] = depths[parent] + 1 if parent >= 0 else 0
        return depths

    def ends(self) -> np.ndarray:
        """``(length,)``, index behind the last token of each token's subtree."""
        ends = np.arange(1, len(self.tokens) + 1)
        for index in range(len(self.tokens) - 1, -1, -1):
            parent = self.parents[index]
            if parent >= 0:
                ends[parent] = max(ends[parent], ends[index])
        return ends
