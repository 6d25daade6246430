"""The genes that scores hang on: by coefficient and model, and by depth, from the candidates' recipes and scores."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis import Interval
from evomerge.analysis.importance import Importance, Share, importances
from evomerge.evaluation import Evaluation
from evomerge.recipe import Group, Recipe, values_of, without_values
from evomerge.report.results import Results, model_label
from evomerge.report.wording import NBSP, bounds, count, estimate

COEFFICIENTS, DEPTH = "coefficient", "depth"
_MOST_CANDIDATES = 200  # spread evenly over the search
_BANDS = 4  # of layers
_SHOWN = 8  # rows of a table
Array = NDArray[np.float64]
Cell = tuple[str, str]  # a coefficient of a model, and a place in depth


@dataclass(frozen=True)
class Genes:
    """Genes that scores hang on, objective by objective.

    Attributes:
        found: Objective label to the importance of every coefficient and depth, by (kind, name); None where too few
            candidates can be compared, or nothing varies.
    """

    found: Mapping[str, Importance | None]

    def rows(self, label: str) -> list[tuple[str, str, Share]]:
        """Kind, name and share of an objective's most important genes of each kind; none where nothing can be said."""
        known = self.found[label]
        if known is None or not known.told:
            return []
        rows = []
        for kind in (COEFFICIENTS, DEPTH):
            own = [(name, share) for (of, name), share in _split(known.shares) if of == kind]
            own.sort(key=lambda row: -row[1].used.mean)
            rows += [(kind, name, share) for name, share in own[:_SHOWN]]
        return rows

    def sentence(self, label: str) -> str:
        """How much is explained, and whether anything can be said."""
        known = self.found[label]
        if known is None:
            return "too few candidates differ in numbers alone to say which genes matter."
        part = f"{estimate(known.explained, '%')}{NBSP}% {bounds(known.explained, '%')}"
        start = f"a model of {count(known.points, 'candidate')} explains {part} of the variance of held-out ones"
        return f"{start}." if known.told else f"{start}: too little to say which genes matter."

    @property
    def note(self) -> str:
        """The way to read the numbers; empty where there are none."""
        if not any(map(self.rows, self.found)):
            return ""
        return (
            "A smooth model of the ranks of search scores is judged on batches of candidates that it has not "
            "seen; only what it explains there can be taken apart. Part: of the variance, what hangs on a gene, "
            "alone and together with others. Own part: what is lost when the model is fitted without it, small "
            "where genes that moved with it stand in for it. Trend: rank correlation of its mean value with how "
            "good the score is, near 0 also where the best lies in the middle. Candidates were chosen by a "
            "search, not at random: a small part does not prove that a gene does not matter, and all of it is "
            "about the items that were searched on. Intervals are 95 % over batches."
        )

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON object, with four digits, which are the same on every machine."""
        return {label: None if known is None else _json(known) for label, known in self.found.items()}


def genes(results: Results) -> Genes | None:
    """Takes the scores of a run's candidates apart by their genes; None of a run without scored candidates."""
    scored = [e for e in results.candidates if results.scored(e)]
    if not scored:
        return None
    rows = np.unique(np.linspace(0, len(scored) - 1, min(len(scored), _MOST_CANDIDATES)).round().astype(int))
    kept, table, cells = _table(results, [scored[row] for row in rows])
    groups: dict[str, list[int]] = {}
    for column, (coefficient, place) in enumerate(cells):
        for kind, name in ((COEFFICIENTS, coefficient), (DEPTH, place)):
            groups.setdefault(f"{kind}:{name}", []).append(column)
    if len({place for _, place in cells}) < 2:
        groups = {name: columns for name, columns in groups.items() if not name.startswith(DEPTH)}
    batches = [evaluation.batch for evaluation in kept]
    values = -results.minimised(kept)
    scores = {objective.label: values[:, i] for i, objective in enumerate(results.objectives)}
    return Genes(importances(table, scores, groups, batches))


def _table(results: Results, candidates: Sequence[Evaluation]) -> tuple[list[Evaluation], Array, list[Cell]]:
    """The candidates that differ from the first in numbers alone, and means of their coefficients by cell."""
    models = [model_label(model) for model in results.store.manifest.get("models") or ()]
    kept: list[Evaluation] = []
    rows: list[list[float]] = []
    cells: list[Cell] = []
    alike: Recipe | None = None
    for candidate in candidates:
        recipe = Recipe.from_json(candidate.recipe)
        alike = without_values(recipe) if alike is None else alike
        if without_values(recipe) != alike:
            continue
        means = _means(recipe, models)
        cells = cells or list(means)
        kept.append(candidate)
        rows.append(list(means.values()))
    return kept, np.array(rows, dtype=np.float64).reshape(len(kept), len(cells)), cells


def _means(recipe: Recipe, models: Sequence[str]) -> dict[Cell, float]:
    """Coefficient and place to the mean of its values there; module kinds of a layer that have their own are apart."""
    places = _places(recipe.groups.groups)
    slots = models if len(models) == len(recipe.sources) else [source.label for source in recipe.sources]
    sums: dict[tuple[str, str, str], list[float]] = {}
    for name, array in values_of(recipe).items():
        columns = array.reshape(len(array), -1).T
        named = [f"{name}[{slot}]" for slot in slots] if len(columns) == len(slots) and array.ndim > 1 else []
        named = named or ([name] if len(columns) == 1 else [f"{name}[{slot}]" for slot in range(len(columns))])
        for label, column in zip(named, columns, strict=True):
            for group, place, value in zip(recipe.groups.groups, places, column.tolist(), strict=True):
                if not group.frozen:
                    sums.setdefault((label, place, " ".join(group.kinds)), []).append(value)
    kinds = {kind for _, place, kind in sums if place.startswith("layer")}
    found: dict[Cell, float] = {}
    for (label, place, kind), values in sums.items():
        own = f"{label} {kind}" if len(kinds) > 1 and place.startswith("layer") else label
        found[own, place] = float(np.mean(values))
    return found


def _places(groups: Sequence[Group]) -> list[str]:
    """The place of each group: a band of layers, or its own name outside the layers."""
    depth = max((group.layers[1] for group in groups if group.layers), default=0)
    edges = [round(depth * part / min(_BANDS, max(depth, 1))) for part in range(min(_BANDS, max(depth, 1)) + 1)]
    names = [f"layers {a} to {b - 1}" if b - a > 1 else f"layer {a}" for a, b in itertools.pairwise(edges)]
    found = []
    for group in groups:
        middle = sum(group.layers) / 2 if group.layers else 0.0
        inside = [name for name, end in zip(names, edges[1:], strict=True) if middle <= end]
        found.append(inside[0] if group.layers else group.label)
    return found


def _split(shares: Mapping[str, Share]) -> list[tuple[tuple[str, str], Share]]:
    return [((name.partition(":")[0], name.partition(":")[2]), share) for name, share in shares.items()]


def _json(known: Importance) -> dict[str, Any]:
    shares: dict[str, dict[str, Any]] = {COEFFICIENTS: {}, DEPTH: {}}
    for (kind, name), share in _split(known.shares):
        shares[kind][name] = {
            "used": _rounded(share.used),
            "own": _rounded(share.own),
            "trend": round(share.trend, 4) + 0.0,
        }
    return {"candidates": known.points, "explained": _rounded(known.explained), "told": known.told, **shares}


def _rounded(found: Interval) -> dict[str, float | None]:
    return {name: None if value is None else round(value, 4) + 0.0 for name, value in found.to_json().items()}
