"""Input of estimators: a table of answers, and what is known of its rows and columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Answers", "Array", "Group", "Indices", "Mask", "filled"]

Array = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Group:
    """Target rows that were asked the same items and learn from the same sources.

    Attributes:
        places: Places of the rows among the targets.
        rows: The rows themselves.
        seen: Items that they were asked, sorted.
        sources: Rows to learn from; a target is never its own source.
    """

    places: Indices
    rows: Indices
    seen: Indices
    sources: Indices


@dataclass(frozen=True)
class Answers:
    """Answers of candidates to the items of one task, one metric of it.

    Attributes:
        values: One value per candidate and item, ``(candidates, items)``; NaN where it was not asked. Rows stand in the
            order in which they were evaluated.
        inclusion: Probability with which each item came to be asked, ``(items,)`` or ``(candidates, items)``, above 0
            wherever something was asked; of a row that answered several windows, the probability of being in any of
            them. None: items were drawn with equal chances. Complete rows count as asked for certain.
        genomes: ``(candidates, genes)``; rows of NaN where a model has none. None if there are none.
        strata: A number per item, ``(items,)``: the part of the task that it belongs to. None if there are no parts.
        clusters: A number per item, ``(items,)``: items of one number belong together, and count once in every
            variance. None: each item stands alone.
        experts: Rows of the models that are merged.
        finite: Whether the score wanted is the mean over these items; False if they are a sample of a larger domain,
            whose mean is wanted.
    """

    values: Array
    inclusion: Array | None = None
    genomes: Array | None = None
    strata: Indices | None = None
    clusters: Indices | None = None
    experts: tuple[int, ...] = ()
    finite: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", np.array(self.values, dtype=np.float64))
        problems = list(self._problems())
        if problems:
            raise ValueError("; ".join(problems))

    def _problems(self) -> list[str]:
        """A sentence for everything that does not fit."""
        if self.values.ndim != 2 or 0 in self.values.shape:
            return [f"expected values of shape (candidates, items), got {self.values.shape}"]
        count, items = self.values.shape
        problems = ["values hold infinities; a failed candidate has no answers"] if np.isinf(self.values).any() else []
        if self.inclusion is not None:
            problems += self._inclusion_problems(np.asarray(self.inclusion, dtype=np.float64))
        if self.genomes is not None and (np.ndim(self.genomes) != 2 or len(self.genomes) != count):
            problems.append(f"expected genomes of {count} candidates, got an array of shape {np.shape(self.genomes)}")
        for name, numbers in (("strata", self.strata), ("clusters", self.clusters)):
            if numbers is not None and np.shape(numbers) != (items,):
                problems.append(f"expected a number per item in {name}, ({items},), got {np.shape(numbers)}")
        if any(not 0 <= row < count for row in self.experts):
            problems.append(f"expected rows below {count} in experts, got {self.experts}")
        return problems

    def _inclusion_problems(self, inclusion: Array) -> list[str]:
        if inclusion.shape not in ((self.values.shape[1],), self.values.shape):
            return [f"expected inclusion of shape (items,) or (candidates, items), got {inclusion.shape}"]
        where = np.broadcast_to(inclusion, self.values.shape)[self.asked]
        if not ((where > 0.0) & (where <= 1.0)).all():
            return ["expected inclusion probabilities above 0 and up to 1 wherever an item was asked"]
        return []

    @cached_property
    def asked(self) -> Mask:
        """Where there is an answer, ``(candidates, items)``."""
        return ~np.isnan(self.values)

    @cached_property
    def counts(self) -> Indices:
        """Number of items that each candidate was asked, ``(candidates,)``."""
        return self.asked.sum(axis=1)

    @cached_property
    def binary(self) -> bool:
        """Whether every answer is 0 or 1, as for accuracy and exact match."""
        return bool(np.isin(self.values[self.asked], (0.0, 1.0)).all())

    @cached_property
    def scale(self) -> float:
        """1 for answers of 0 and 1, else the distance between the largest and the smallest of the table."""
        if self.binary:
            return 1.0
        return float(np.ptp(self.values[self.asked]))

    @cached_property
    def probabilities(self) -> Array:
        """Probability of being asked, ``(candidates, items)``; 1 in rows without gaps."""
        items = self.values.shape[1]
        if self.inclusion is None:
            return np.repeat((self.counts / items)[:, None], items, axis=1)
        given = np.array(np.broadcast_to(self.inclusion, self.values.shape), dtype=np.float64)
        given[self.counts == items] = 1.0
        return given

    @cached_property
    def cluster_index(self) -> Indices:
        """The place of each item's cluster among the clusters, ``(items,)``."""
        if self.clusters is None:
            return np.arange(self.values.shape[1])
        return np.unique(np.asarray(self.clusters), return_inverse=True)[1].reshape(-1)

    def sources(self, share: float, most: int) -> Indices:
        """Rows that answered at least this share of the items: the latest ``most`` of them."""
        return np.flatnonzero(self.counts >= share * self.values.shape[1])[-most:]

    def groups(self, rows: Sequence[int] | Indices, sources: Sequence[int] | Indices = ()) -> list[Group]:
        """Target rows by what they were asked; a row that is a source is a group of its own."""
        targets, known = np.asarray(rows, dtype=np.int64), np.asarray(sources, dtype=np.int64)
        places: dict[tuple[bytes, int], list[int]] = {}
        for place, row in enumerate(targets):
            own = int(row) if row in known else -1
            places.setdefault((self.asked[row].tobytes(), own), []).append(place)
        return [
            Group(np.array(found), targets[found], np.flatnonzero(self.asked[targets[found[0]]]), known[known != own])
            for (_, own), found in places.items()
        ]

    def only(self, rows: Sequence[int], items: Mask) -> Answers:
        """The same table where these rows were asked no items but these, with the smallest of their chances."""
        index, values = np.asarray(rows, dtype=np.int64), self.values.copy()
        values[np.ix_(index, np.flatnonzero(~items))] = np.nan
        inclusion = self.inclusion
        if inclusion is not None and np.ndim(inclusion) == 2:
            inclusion = np.array(inclusion, dtype=np.float64)
            inclusion[index] = inclusion[index].min(axis=0)
        return replace(self, values=values, inclusion=inclusion)


def filled(values: Array) -> Array:
    """A table without gaps: a gap gets its item's mean, moved by how far its row lies above the others on what it has.

    Args:
        values: ``(rows, items)``, NaN where there is no answer.
    """
    gaps = np.isnan(values)
    if not gaps.any():
        return values
    answered = ~gaps
    held = np.where(gaps, 0.0, values)
    overall = held.sum() / max(answered.sum(), 1)
    counts = answered.sum(axis=0)
    items = np.where(counts > 0, held.sum(axis=0) / np.maximum(counts, 1), overall)
    above = np.where(gaps, 0.0, values - items).sum(axis=1) / np.maximum(answered.sum(axis=1), 1)
    return np.where(gaps, items[None, :] + above[:, None], values)
