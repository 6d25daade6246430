"""The items of a suite as token requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from evomerge.errors import InputError
from evomerge.fitness.encoding import Encoder
from evomerge.fitness.items import Item
from evomerge.fitness.requests import Request

# For each of lm-eval's requests of an item: one token request or, for a rolling window, several.
ItemRequests = tuple[tuple[Request, ...], ...]


@dataclass(frozen=True)
class Tokenised:
    """Token requests of many items.

    Args:
        requests: By item id.
        cut: Number of items, by task, that lost their beginning because they are too long for the model.
    """

    requests: Mapping[str, ItemRequests]
    cut: Mapping[str, int]


def tokenise(encoder: Encoder, items: Iterable[tuple[str, Item]]) -> Tokenised:
    """Encodes every request of the items, once.

    Args:
        encoder: Encodes.
        items: Task name and item.

    Returns:
        The requests.

    Raises:
        InputError: With what cannot be asked, each kind of problem once.
    """
    requests: dict[str, ItemRequests] = {}
    cut: dict[str, int] = {}
    wrong: dict[tuple[str, str], list[str]] = {}
    for task, item in items:
        before = encoder.cut
        try:
            requests[item.id] = tuple(encoder.requests(*asked) for asked in zip(item.kind, item.arguments, strict=True))
        except InputError as error:
            wrong.setdefault((task, error.problems[0]), []).append(item.id)
        cut[task] = cut.get(task, 0) + (encoder.cut > before)
    if wrong:
        raise InputError(
            [f"task {task!r}: {problem} ({len(ids)} items, first {ids[0]})" for (task, problem), ids in wrong.items()]
        )
    return Tokenised(requests, {task: count for task, count in cut.items() if count})
