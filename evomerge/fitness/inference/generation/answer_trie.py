"""The answers that are known of an item as a trie, and what a row that follows it may go on with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from evomerge.fitness.inference.generation.draft_tree import DraftTree

Tokens = tuple[int, ...]


@dataclass(eq=False, slots=True)
class TrieNode:
    """A token of known answers.

    Attributes:
        weight: Number of answers that pass through it or end here.
        children: What follows it.
    """

    weight: int = 0
    children: dict[int, TrieNode] = field(default_factory=dict)


def trie(answers: Sequence[Tokens]) -> TrieNode:
    """The trie of answers; one that was given several times weighs as much."""
    root = TrieNode()
    for answer in answers:
        node = root
        node.weight += 1
        for token in answer:
            node = node.children.setdefault(token, TrieNode())
            node.weight += 1
    return root


def branches(node: TrieNode, follows: Callable[[int], float], least: float, most: int) -> DraftTree:
    """The tokens below a node that a row will probably come to, in depth-first order, the heaviest first.

    The last token of an answer is not among them, as nothing is known of what follows it.

    Args:
        node: Where the row is.
        follows: Probability that a row goes on with a known token where it has come with so many answers.
        least: Least probability of a token to be drafted.
        most: Most tokens.
    """
    tree = DraftTree()
    stack: list[tuple[TrieNode, int, int, float]] = []

    def push(above: TrieNode, parent: int, chance: float) -> None:
        going = chance * follows(above.weight)
        likely = sorted(above.children.items(), key=lambda pair: pair[1].weight)  # the heaviest is on top of the stack
        for token, child in likely:
            own = going * child.weight / above.weight
            if own >= least and child.children:
                stack.append((child, token, parent, own))

    push(node, -1, 1.0)
    while stack and len(tree.tokens) < most:
        child, token, parent, chance = stack.pop()
        push(child, tree.add(token, parent), chance)
    return tree
