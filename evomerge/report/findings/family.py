"""The family tree of members whose models are merges themselves: what they were merged from, and with which shares."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.recipe import ModelRef, Recipe, Source, values_of
from evomerge.report.members import Member
from evomerge.report.results import EXPERT, Results

_ID = 8  # digits of a digest
_FEW = 4  # numbers of a step that are told one by one
_WEIGHT = "weight"

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Parent:
    """A model that another one is merged from.

    Attributes:
        key: Its key in the family.
        share: Mean over groups of its weight, or of the method's first number for each model; None where the method has
            none.
        low: Least of these.
        high: Largest of these.
    """

    key: str
    share: float | None = None
    low: float | None = None
    high: float | None = None

    def to_json(self) -> dict[str, Any]:
        """All fields that say something."""
        numbers = {"share": self.share, "low": self.low, "high": self.high}
        return {"model": self.key, **{name: value for name, value in numbers.items() if value is not None}}


@dataclass(frozen=True)
class Relative:
    """A model of a family.

    Attributes:
        name: Its name for people: the begin of a candidate's digest, or a model's label.
        batch: The batch in which it was asked; None of models.
        index: Its place there.
        depth: Merges one inside the other; 0 of a model.
        method: The method that has merged it; empty for a model.
        numbers: Mean of each number that is one for all models, and what the steps after the merge did, in words.
        scores: Objective label to search score, as far as it was scored.
        parents: The models that it was merged from.
    """

    name: str
    batch: int | None
    index: int | None
    depth: int
    method: str
    numbers: tuple[str, ...]
    scores: Mapping[str, float]
    parents: tuple[Parent, ...]

    @property
    def place(self) -> str:
        """Where it comes from, in words: its method and its place in the run."""
        asked = "" if self.batch is None else f", number {self.index} of batch {self.batch}"
        return f"{self.method}{asked}" if self.method else "expert"

    def words(self, relatives: Mapping[str, Relative]) -> str:
        """The models that it was merged from, with the mean of each weight, and its other numbers."""
        parts = []
        for parent in self.parents:
            name, share = relatives[parent.key].name, parent.share
            ends = "" if parent.low == parent.high else f" ({parent.low:.3g} to {parent.high:.3g})"
            parts.append(name if share is None else f"{share:.3g}{ends} of {name}")
        return "; ".join([", ".join(parts), *self.numbers])

    def to_json(self) -> dict[str, Any]:
        """All fields that say something."""
        found = {
            "name": self.name, "batch": self.batch, "index": self.index, "method": self.method,
            "numbers": list(self.numbers), "search": dict(self.scores),
            "merged_from": [parent.to_json() for parent in self.parents],
        }  # fmt: skip
        return {name: value for name, value in found.items() if value not in (None, "", [], {})}


def family(results: Results, members: Sequence[Member]) -> dict[str, Relative]:
    """The members and all that they come from, by key, where some member is merged from merges.

    Args:
        results: The run's records.
        members: Its members.

    Returns:
        Relatives, each before its parents; the key of a candidate is its digest. Empty where every member is merged
        from models alone, as without rounds.
    """
    found: dict[str, Relative] = {}
    candidates = {e.digest: e for e in results.candidates}
    recipes = [Recipe.from_json(member.recipe) for member in members]
    if any(isinstance(source, Recipe) for recipe in recipes for source in recipe.sources):
        for recipe in recipes:
            _enter(recipe, found, results, candidates)
    return found


def ancestors(relatives: Mapping[str, Relative], key: str) -> list[str]:
    """A relative and all that it comes from, each once, those nearest to it first."""
    found, wanted = dict[str, None](), [key]
    while wanted:
        found |= dict.fromkeys(wanted)
        wanted = [parent.key for own in wanted for parent in relatives[own].parents if parent.key not in found]
    return list(found)


def _enter(source: Source, found: dict[str, Relative], results: Results, candidates: Mapping[str, Any]) -> str:
    """Enters a model with all that it comes from; its key."""
    if not isinstance(source, Recipe):
        content = hashlib.sha256(json.dumps(source.identity(), sort_keys=True).encode()).hexdigest()
        key = f"model:{content[:_ID]}"
        if key not in found:
            found[key] = Relative(source.label, None, None, 0, "", (), _scores_of_model(results, source), ())
        return key
    if source.digest in found:
        return source.digest
    known = candidates.get(source.digest)
    scores = {} if known is None else {label: one.mean for label, one in results.intervals(known).items()}
    found[source.digest] = Relative("", None, None, 0, "", (), {}, ())  # its place, before those of its parents
    keys = [_enter(inner, found, results, candidates) for inner in source.sources]
    found[source.digest] = Relative(
        source.digest[:_ID],
        None if known is None else known.batch,
        None if known is None else known.index,
        1 + max(found[key].depth for key in keys),
        source.method,
        tuple(_numbers(source)),
        scores,
        tuple(Parent(key, *share) for key, share in zip(keys, _shares(source), strict=True)),
    )
    return source.digest


def _scores_of_model(results: Results, model: ModelRef) -> dict[str, float]:
    """An expert's search scores, which it has as a baseline."""
    own = results.baseline(f"{EXPERT}{model.label}", "search")
    return {label: one.mean for label, one in results.intervals(own).items()}


def _live(recipe: Recipe, values: Array) -> Array:
    """The rows of groups that are merged."""
    rows = [row for row, group in enumerate(recipe.groups.groups) if not group.frozen]
    return values[rows] if rows else values


def _shares(recipe: Recipe) -> list[tuple[float, float, float] | tuple[()]]:
    """Mean, least and largest of each source's weight over the groups."""
    own = {name: values for name, values in recipe.coefficients.items() if values.ndim == 2}
    name = _WEIGHT if _WEIGHT in own else next(iter(own), None)
    if name is None or own[name].shape[1] != len(recipe.sources):
        return [() for _ in recipe.sources]
    values = _live(recipe, own[name])
    columns = (values[:, place] for place in range(len(recipe.sources)))
    return [(float(column.mean()), float(column.min()), float(column.max())) for column in columns]


def _numbers(recipe: Recipe) -> Iterator[str]:
    """Numbers that are not of one model each; of a step with many, how many and how large they are."""
    steps: dict[str, list[float]] = {}
    for name, values in values_of(recipe).items():
        if values.ndim != 1:
            continue
        mean = float(_live(recipe, values).mean())
        step, dot, _ = name.partition(".")
        if dot:
            steps.setdefault(step, []).append(mean)
        if not dot or len([other for other in values_of(recipe) if other.startswith(f"{step}.")]) <= _FEW:
            yield f"{name} {mean:.3g}"
    for step, means in steps.items():
        if len(means) > _FEW:
            yield f"{step}: {len(means)} numbers, root mean square {float(np.sqrt(np.mean(np.square(means)))):.3g}"
