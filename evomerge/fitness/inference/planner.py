"""Plans the forward passes that answer token requests, once for all candidates.

Requests form a prefix tree. A long shared prefix, such as a task's few-shot examples, is run once, and later passes
reuse its KV cache; short shared prefixes, such as a question before its options, stay in one row with a tree mask. The
planner picks the cheapest arrangement by a cost model of attention, and packs short trees into rows, which leaves
little padding.
"""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from evomerge.fitness.inference.batches import BatchPlan, Limits
from evomerge.fitness.inference.packing import Asked, Draft, Row, finish, tokens_of
from evomerge.fitness.inference.prefix_tree import Node, build
from evomerge.fitness.inference.prompts import prompt_batches
from evomerge.fitness.inference.requests import Prompt, Request

# One row; a pass of its own that later rows continue; or run again with each child.
_Way = Literal["row", "pass", "again"]


@dataclass(eq=False)
class _Unit:
    """A tree that goes into one row, with the ancestors that are run again for it."""

    above: Sequence[Node]
    top: Node

    @property
    def length(self) -> int:
        return tokens_of(self.above) + self.top.total


@dataclass(eq=False)
class _Trunk:
    """A shared prefix with a pass of its own, and the trees that continue it. The root trunk is empty."""

    nodes: Sequence[Node] = ()
    units: list[_Unit] = field(default_factory=list)
    children: list[_Trunk] = field(default_factory=list)


def plan_batches(requests: Sequence[Request], limits: Limits, *, share: bool = True) -> BatchPlan:
    """Arranges requests into passes.

    Args:
        requests: The requests.
        limits: Bounds of a pass.
        share: Whether shared prefixes are run once. Otherwise every sequence is a row of its own, and only equal
            sequences are run once, as those of one-token options are.

    Returns:
        The plan; it depends on nothing but the arguments.
    """
    asked: dict[bytes, list[Asked]] = defaultdict(list)
    prompts = []
    for index, request in enumerate(requests):
        if isinstance(request, Prompt):
            prompts.append((index, request))
        else:
            # The last token is only scored, never an input.
            asked[request.tokens[:-1].tobytes()].append((index, request))
    keys = sorted(asked)  # sequences that begin alike are neighbours in the order of their bytes
    sequences = [asked[key][0][1].tokens[:-1] for key in keys]
    scored = [max(request.scored for _, request in asked[key]) for key in keys]
    root, ends = build(sequences, scored, limits.pass_tokens, limits.positions)
    drafts = list(_shared_passes(root, limits) if share else _plain_passes(ends, limits))
    passes = finish(drafts, [(end, asked[key]) for end, key in zip(ends, keys, strict=True)])
    return BatchPlan(len(requests), passes, tuple(prompt_batches(prompts, limits, share=share)), limits, root.total)


def _shared_passes(root: Node, limits: Limits) -> Iterator[Draft]:
    count = 0
    stack: list[tuple[_Trunk, int | None]] = [(_plan(root, limits), None)]
    placed: set[int] = set()
    while stack:
        trunk, past = stack.pop()
        if trunk.nodes:
            row = Row()
            for node in trunk.nodes:
                row.append(node, tokens_of(trunk.nodes))
            yield Draft([_keep_new(row, placed)], past, shared=True)
            past, count = count, count + 1
        before = trunk.nodes[-1].end if trunk.nodes else 0
        for rows in _cut(_packed(trunk.units, limits, before), limits, placed, before):
            yield Draft(rows, past)
            count += 1
        stack += [(child, past) for child in reversed(trunk.children)]


def _plan(root: Node, limits: Limits) -> _Trunk:
    """Decides which prefixes get passes of their own, and which trees go into rows."""
    first = _Trunk()
    stack: list[tuple[Node, list[Node], _Trunk]] = [(root, [], first)]
    while stack:
        node, above, trunk = stack.pop()
        own = [*above, node] if len(node.tokens) else above
        way = _cheapest(node, own, limits)
        if way == "row":
            if node.total:
                trunk.units.append(_Unit(above, node))
            continue
        if way == "pass":
            trunk.children.append(_Trunk(own))
            own, trunk = [], trunk.children[-1]
        stack += [(child, own, trunk) for child in reversed(node.children)]
    return first


def _cheapest(node: Node, own: Sequence[Node], limits: Limits) -> _Way:
    """The cheapest arrangement of the tokens down to a node and the tree below it.

    Args:
        node: The node.
        own: The nodes from the last prefix with a pass of its own down to this one.
        limits: Bounds and cost model of a pass.

    Returns:
        ``row``: all of it is one row. ``pass``: the tokens down to the node get a pass whose cache the tree below
        reuses. ``again``: they are run again with each child.
    """
    if not node.children:
        return "row"
    length, below = tokens_of(own), node.total - len(node.tokens)
    scored = sum(int(part.scored.sum()) for part in own)
    next_tokens = max(len(child.tokens) for child in node.children)
    next_scored = max(int(child.scored.sum()) for child in node.children)
    if length + next_tokens > limits.pass_tokens or scored + next_scored > limits.positions:
        return "pass"  # does not fit into one pass with its children
    whole, again = length + below, below + len(node.children) * length
    costs: dict[_Way, float] = {"again": again * limits.cost(length + limits.row_tokens)}
    if length:
        # One more pass for the prefix, and one at the end of those that continue it, which is seldom full.
        follow = below * limits.cost(length + min(below, limits.row_tokens))
        costs["pass"] = length * limits.cost(length) + follow + 2 * limits.overhead
    if whole <= limits.pass_tokens and scored + node.positions - int(node.scored.sum()) <= limits.positions:
        costs["row"] = whole * limits.cost(whole)
    return min(costs, key=lambda way: costs[way])


def _packed(units: Sequence[_Unit], limits: Limits, past: int) -> list[Row]:
    """Packs trees into rows by best fit, the longest first.

    Every row holds a copy of the prefix's KV cache, so rows that continue a long prefix are longer.
    """
    capacity = max(limits.row_tokens, min(past // 8, limits.pass_tokens))
    rows: list[Row] = []
    room: list[tuple[int, int]] = []  # (free tokens, row), sorted
    order = {id(unit): (-unit.length, unit.top.start, _path(unit)) for unit in units}
    for unit in sorted(units, key=lambda unit: order[id(unit)]):
        place = bisect.bisect_left(room, (unit.length, -1))
        if place < len(room):
            left, index = room.pop(place)
        else:
            left, index = max(capacity, unit.length), len(rows)
            rows.append(Row())
        rows[index].add(unit.above, unit.top)
        bisect.insort(room, (left - unit.length, index))
    return rows


def _path(unit: _Unit) -> bytes:
    return b"".join(node.tokens.tobytes() for node in (*unit.above, *unit.top.walk()))


def _plain_passes(ends: Sequence[Node], limits: Limits) -> Iterator[Draft]:
    rows = []
    for end in ends:
        row = Row()
        nodes = [node for node, _ in end.last(end.end)][::-1]
        for node in nodes:
            row.append(node, end.end)
        rows.append(row)
    for part in _cut(rows, limits, set(), 0):
        yield Draft(part)


def _cut(rows: Sequence[Row], limits: Limits, placed: set[int], past: int) -> Iterator[list[Row]]:
    """Cuts rows into passes, longest first; a new pass begins where padding would cost more than the pass."""
    part: list[Row] = []
    positions = padding = 0
    for row in sorted(rows, key=lambda row: row.order):
        # A row runs several times only where all its logits must be there at one time.
        kept = _keep_new(row, placed)
        for piece in kept.pieces(limits.positions if limits.logits == "kept" else kept.length):
            longest = part[0].length if part else piece.length
            padding += longest - piece.length
            full = (len(part) + 1) * longest > limits.pass_tokens or positions + piece.positions > limits.positions
            copies = past and (len(part) + 1) * (past + longest) > limits.cached
            if part and (full or copies or padding > limits.overhead or len(part) == limits.rows):
                yield part
                part, positions, padding = [], 0, 0
            part.append(piece)
            positions += piece.positions
    if part:
        yield part


def _keep_new(row: Row, placed: set[int]) -> Row:
    """Scores each node in the first row that holds it."""
    row.kept = [id(node) not in placed for node in row.nodes]
    placed.update(id(node) for node in row.nodes)
    return row
