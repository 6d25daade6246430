"""The embedding that a token gets where a source does not have it: as told, else by a rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evomerge.errors import InputError

ZERO, MEAN = -1, -2
"""Instead of a place: zeros, and the mean of all sources that have the token."""


@dataclass(frozen=True)
class Member:
    """A source whose embeddings are merged.

    Attributes:
        name: What messages call it.
        ids: Token to row.
        rows: Number of its rows.
    """

    name: str
    ids: Mapping[str, int]
    rows: int

    def row(self, token: str) -> int | None:
        """The row of a token, None where it has none."""
        found = self.ids.get(token)
        return found if found is not None and found < self.rows else None


@dataclass(frozen=True)
class Defaults:
    """The rows that tokens get in sources that do not have them, row by row of the merged embeddings.

    Attributes:
        own: For each place the row of the token there, -1 where it has none, ``(places, rows)``; places are 0 for the
            base, and 1 and up for the sources.
        place: The place that a missing token is copied from, or what it gets instead.
        row: The row there.
        forced: Whether the sources that have the token get the same.
    """

    own: np.ndarray
    place: np.ndarray
    row: np.ndarray
    forced: np.ndarray

    def of(self, place: int) -> tuple[np.ndarray, np.ndarray]:
        """For each merged row the place and the row that one source takes it from."""
        own = self.own[place]
        taken = (own >= 0) & ~self.forced
        return np.where(taken, place, self.place), np.where(taken, own, self.row)


def defaults(
    ids: Mapping[str, int], members: Sequence[Member | None], tokens: Mapping[str, Any], donor: int
) -> Defaults:
    """Works out where each row of merged embeddings comes from.

    A token that the base has is copied from there, one that a single source has from that, others are the mean of the
    sources that have it, and what nobody has is zero. These are mergekit's rules. Rows without a token are those of the
    source that the tokenizer is from.

    Args:
        ids: The merged vocabulary.
        members: The base, or None, and the sources; those that stand for the same checkpoint are one object.
        tokens: What the recipe says about single tokens, see :class:`~evomerge.recipe.Tokenizer`.
        donor: The place that the tokenizer is from.

    Raises:
        InputError: If a token is to come from where it is not; all problems.
    """
    count = max(ids.values(), default=-1) + 1
    own = np.full((len(members), count), -1, dtype=np.int64)
    for place, member in enumerate(members):
        if member is None:
            continue
        for token, index in ids.items():
            found = member.row(token)
            own[place, index] = -1 if found is None else found
    places, rows = _by_rule(own, members)
    forced = np.zeros(count, dtype=bool)
    hole = np.ones(count, dtype=bool)
    hole[list(ids.values())] = False
    giver = members[donor]
    at = np.arange(count)
    held = hole & (at < (0 if giver is None else giver.rows))
    places[hole], rows[hole], forced[hole] = ZERO, 0, True
    places[held], rows[held] = donor, at[held]
    problems: list[str] = []
    for token, said in tokens.items():
        index = ids[token]
        try:
            if "source" in said:
                places[index], rows[index] = _told(token, said, members)
        except InputError as error:
            problems += error.problems
        forced[index] = bool(said.get("force", False))
    if problems:
        raise InputError(problems)
    return Defaults(own, places, rows, forced)


def _by_rule(own: np.ndarray, members: Sequence[Member | None]) -> tuple[np.ndarray, np.ndarray]:
    first: dict[int, int] = {}
    for index, member in enumerate(members):
        if member is not None:
            first.setdefault(id(member), index)
    places = list(first.values())  # a checkpoint that is named twice is one
    has = own[places] >= 0
    count = has.sum(axis=0)
    place = np.full(own.shape[1], MEAN, dtype=np.int64)
    single = np.asarray(places)[has.argmax(axis=0)]
    place[count == 1] = single[count == 1]
    place[count == 0] = ZERO
    if members[0] is not None:
        place[own[0] >= 0] = 0
    row = np.zeros_like(place)
    copied = place >= 0
    row[copied] = own[place[copied], np.flatnonzero(copied)]
    return place, row


def _told(token: str, said: Mapping[str, Any], members: Sequence[Member | None]) -> tuple[int, int]:
    """The place and the row that a recipe names for a token."""
    where = f"tokenizer.tokens[{token!r}]"
    source = said["source"]
    if source == "zero":
        return ZERO, 0
    place = 0 if source == "base" else int(source) + 1
    member = members[place]
    assert member is not None
    if "token_id" in said:
        index = int(said["token_id"])
        if not 0 <= index < member.rows:
            raise InputError(f"{where} names row {index} of {member.name}, which has {member.rows} rows")
        return place, index
    named = str(said.get("token", token))
    found = member.row(named)
    if found is None:
        raise InputError(f"{where}: {member.name} has no embedding of {named!r}")
    return place, found
