"""Prefix tree (trie) of token sequences, in which a shared prefix occurs once.

A causal model computes the same states for the same prefix, so the number of tokens in the tree is a lower bound on the
tokens that have to be run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

Tokens = np.ndarray  # int32, (length,)


@dataclass(eq=False)
class Node:
    """A run of tokens without a fork, and its children.

    Attributes:
        start: Number of tokens before it.
        tokens: Its tokens, ``(length,)``; only the root's may be empty.
        scored: ``(length,)``, true where the logits after a token are asked for.
        parent: The node above.
        children: The nodes below, each with another first token.
        total: Tokens in it and below.
        positions: Scored tokens in it and below.
    """

    start: int
    tokens: Tokens
    scored: np.ndarray
    parent: Node | None = None
    children: list[Node] = field(default_factory=list)
    total: int = 0
    positions: int = 0

    @property
    def end(self) -> int:
        """Number of tokens from the root to its end."""
        return self.start + len(self.tokens)

    def walk(self) -> Iterator[Node]:
        """All nodes of the subtree, in depth-first order."""
        stack = [self]
        while stack:
            node = stack.pop()
            yield node
            stack += reversed(node.children)

    def last(self, count: int) -> Iterator[tuple[Node, slice]]:
        """The last ``count`` tokens up to this node's end, as slices of nodes, last first."""
        node: Node | None = self
        while count > 0:
            assert node is not None
            take = min(count, len(node.tokens))
            yield node, slice(len(node.tokens) - take, len(node.tokens))
            count -= take
            node = node.parent


def build(
    sequences: Sequence[Tokens], scored: Sequence[int], most_tokens: int, most_scored: int
) -> tuple[Node, list[Node]]:
    """Builds the tree of distinct sequences.

    Args:
        sequences: Sorted, distinct, none empty.
        scored: Number of scored tokens at the end of each.
        most_tokens: Longest node; longer runs are split.
        most_scored: Most scored tokens of a node.

    Returns:
        The root, and the last node of each sequence.
    """
    root = Node(0, np.zeros(0, dtype=np.int32), np.zeros(0, dtype=bool))
    ends: list[Node] = []
    before: Tokens = root.tokens
    node = root
    for tokens in sequences:
        shared = _shared(before, tokens)
        while node.start >= shared and node.parent is not None:
            node = node.parent
        if node.end > shared:
            node = _split(node, shared)
        if len(tokens) > shared:
            # A copy of the tail: a view would keep whole sequences in memory.
            child = Node(shared, tokens[shared:].copy(), np.zeros(len(tokens) - shared, dtype=bool), node)
            node.children.append(child)
            node = child
        ends.append(node)
        before = tokens
    for node, count in zip(ends, scored, strict=True):
        for part, where in node.last(count):
            part.scored[where] = True
    for node in list(root.walk()):
        _cut(node, most_tokens, most_scored)
    _count(root)
    return root, ends


def _shared(one: Tokens, other: Tokens) -> int:
    """Length of the common prefix of two sequences."""
    length = min(len(one), len(other))
    unlike = np.flatnonzero(one[:length] != other[:length])
    return int(unlike[0]) if len(unlike) else length


def _split(node: Node, depth: int) -> Node:
    """Splits a node at a depth inside it; returns the upper part, while the node itself stays the lower part."""
    cut = depth - node.start
    upper = Node(node.start, node.tokens[:cut], node.scored[:cut], node.parent, [node])
    assert node.parent is not None
    node.parent.children[node.parent.children.index(node)] = upper
    node.start, node.tokens, node.scored, node.parent = depth, node.tokens[cut:], node.scored[cut:], upper
    return upper


def _cut(node: Node, most_tokens: int, most_scored: int) -> None:
    """Splits pieces off a node's upper end until the rest keeps to the limits."""
    while True:
        over = np.flatnonzero(np.cumsum(node.scored) > most_scored)
        length = min([most_tokens, *over[:1]])
        if length >= len(node.tokens):
            return
        _split(node, node.start + int(length))


def _count(root: Node) -> None:
    for node in reversed(list(root.walk())):
        node.total = len(node.tokens) + sum(child.total for child in node.children)
        node.positions = int(node.scored.sum()) + sum(child.positions for child in node.children)
