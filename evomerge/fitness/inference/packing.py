"""Packs nodes of a prefix tree into rows, and rows into the tensors of forward passes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from evomerge.fitness.inference.batches import LikelihoodPass
from evomerge.fitness.inference.prefix_tree import Node
from evomerge.fitness.inference.requests import Continuation

Asked = tuple[int, Continuation]


@dataclass(eq=False)
class Row:
    """Nodes of one row of a pass, in depth-first order.

    Attributes:
        nodes: The nodes.
        starts: Offset of each in the row.
        ends: Offset of the end of each node's subtree.
        kept: Whether the scored tokens of each are scored in this row.
        length: Number of tokens.
    """

    nodes: list[Node] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    kept: list[bool] = field(default_factory=list)
    length: int = 0

    def add(self, above: Sequence[Node], top: Node) -> None:
        """Adds a tree, preceded by the ancestors that are run again for it."""
        end = self.length + tokens_of(above) + top.total
        for node in above:
            self.append(node, end)
        for node in top.walk():
            self.append(node, self.length + node.total)

    def append(self, node: Node, end: int) -> None:
        """Adds one node, whose subtree ends at ``end``."""
        self.nodes.append(node)
        self.starts.append(self.length)
        self.ends.append(end)
        self.kept.append(True)
        self.length += len(node.tokens)

    @property
    def positions(self) -> int:
        """Number of tokens scored in this row."""
        return sum(int(node.scored.sum()) for node, kept in zip(self.nodes, self.kept, strict=True) if kept)

    @property
    def is_sequence(self) -> bool:
        """True if the row is a single sequence, which needs no tree mask."""
        return all(end == self.length for end in self.ends)

    @property
    def order(self) -> tuple[int, bytes]:
        """Sort key: longest first, independent of the order of requests."""
        return -self.length, b"".join(node.tokens.tobytes() for node in self.nodes)

    def pieces(self, most: int) -> Iterator[Row]:
        """Copies of the row that score at most ``most`` tokens each; none where it scores nothing."""
        if self.positions <= most:
            if self.positions:
                yield self
            return
        wanted = [index for index, kept in enumerate(self.kept) if kept and self.nodes[index].scored.any()]
        while wanted:
            taken: set[int] = set()
            count = 0
            while wanted and (not taken or count + int(self.nodes[wanted[0]].scored.sum()) <= most):
                count += int(self.nodes[wanted[0]].scored.sum())
                taken.add(wanted.pop(0))
            kept = [index in taken for index in range(len(self.nodes))]
            yield Row(self.nodes, self.starts, self.ends, kept, self.length)


@dataclass(eq=False)
class Draft:
    """A pass before it becomes tensors."""

    rows: list[Row]
    past: int | None = None
    shared: bool = False


def finish(drafts: Sequence[Draft], members: Sequence[tuple[Node, Sequence[Asked]]]) -> tuple[LikelihoodPass, ...]:
    """Makes tensors of passes.

    Args:
        drafts: The passes.
        members: For every sequence its last node, and the requests that ask for it.
    """
    keeps = [_keep(draft) for draft in drafts]
    counts = [keep.reshape(-1).cumsum() - 1 for keep in keeps]
    # Home of each node: the pass that scores it, and the offset of its first token among all of the pass's.
    homes = {
        id(node): (place, index * keeps[place].shape[1] + start)
        for place, draft in enumerate(drafts)
        for index, row in enumerate(draft.rows)
        for node, start, kept in zip(row.nodes, row.starts, row.kept, strict=True)
        if kept
    }
    scored: list[tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]] = [([], [], []) for _ in drafts]
    for end, asked in members:
        for index, request in asked:
            for node, where in end.last(request.scored):
                place, start = homes[id(node)]
                positions, targets, owners = scored[place]
                positions.append(counts[place][start + where.start : start + where.stop])
                targets.append(request.tokens[node.start + where.start + 1 : node.start + where.stop + 1])
                owners.append(np.full(where.stop - where.start, index))
    return tuple(_tensors(*parts) for parts in zip(drafts, keeps, scored, strict=True))


def _keep(draft: Draft) -> np.ndarray:
    keep = np.zeros((len(draft.rows), max(row.length for row in draft.rows)), dtype=bool)
    for index, row in enumerate(draft.rows):
        for node, start, kept in zip(row.nodes, row.starts, row.kept, strict=True):
            if kept:
                keep[index, start : start + len(node.tokens)] = node.scored
    return keep


def _tensors(
    draft: Draft, keep: np.ndarray, scored: tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]
) -> LikelihoodPass:
    tokens = np.zeros(keep.shape, dtype=np.int64)
    position_ids = np.zeros(keep.shape, dtype=np.int64)
    ends = np.tile(np.arange(1, keep.shape[1] + 1), (len(draft.rows), 1))  # padding attends to itself
    for index, row in enumerate(draft.rows):
        for node, start, end in zip(row.nodes, row.starts, row.ends, strict=True):
            stop = start + len(node.tokens)
            tokens[index, start:stop] = node.tokens
            position_ids[index, start:stop] = np.arange(node.start, node.end)
            ends[index, start:stop] = end
    position, target, owner = (np.concatenate([np.zeros(0, dtype=np.int64), *parts]) for parts in scored)
    plain = all(row.is_sequence for row in draft.rows)
    return LikelihoodPass(
        torch.from_numpy(tokens),
        torch.from_numpy(keep),
        torch.from_numpy(position),
        torch.from_numpy(target.astype(np.int64)),
        owner,
        None if plain else torch.from_numpy(position_ids),
        None if plain else torch.from_numpy(ends),
        draft.past,
        draft.shared,
    )


def tokens_of(nodes: Sequence[Node]) -> int:
    """Number of tokens in some nodes."""
    return sum(len(node.tokens) for node in nodes)
