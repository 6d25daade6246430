"""Candidates scored as they will be served: how far that agrees with scores of the same models unquantised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from evomerge.analysis.allocation.proxy import kendall
from evomerge.evaluation import Evaluation
from evomerge.report.results import Results
from evomerge.report.wording import count, drop
from evomerge.store import unquantised

_FEWEST = 5  # models, below which an order says nothing


@dataclass(frozen=True)
class Serving:
    """Scores of quantised models beside those of the same models unquantised, on the same items.

    Attributes:
        scheme: How weights were rounded.
        dtype: The number type that products were computed in.
        split: Whose items these are.
        models: How many models were scored both ways.
        tau: Objective label to Kendall's tau-b of the two orders; empty where there are too few models.
        loss: Objective label to how much worse quantised scores are on average, in the objective's natural direction.
    """

    scheme: str
    dtype: str
    split: str
    models: int
    tau: Mapping[str, float]
    loss: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """All fields as a JSON object."""
        return {**vars(self), "tau": dict(self.tau), "loss": dict(self.loss)}


def serving(results: Results) -> Serving | None:
    """The agreement of quantised and unquantised scores; None of a run whose candidates were scored unquantised."""
    model = (results.store.manifest.get("identity") or {}).get("model") or {}
    scheme = model.get("quantise")
    if scheme is None:
        return None
    known = unquantised(results.store)
    every = {
        e.digest: e
        for e in results.store.evaluations(known.split)
        if e.digest in known.scores and known.item_set in ("", e.item_set)
    }
    pairs = [(e, known.scores[e.digest]) for e in every.values() if results.scored(e)]
    tau, loss = {}, {}
    for objective in results.objectives:
        keys = [key for _, key in objective.terms]
        both = [(e, own) for e, own in pairs if all(key in own for key in keys)]
        if len(both) >= _FEWEST:
            sign = 1.0 if objective.higher_is_better else -1.0
            rounded, whole = (np.array([objective.value(m) for m in side]) for side in _sides(both))
            tau[objective.label] = kendall(rounded, whole)
            loss[objective.label] = float(sign * (whole - rounded).mean())
    return Serving(str(scheme), str(model.get("dtype", "")), known.split, len(pairs), tau, loss)


def serving_words(found: Serving, unit: Mapping[str, str]) -> list[str]:
    """The same in sentences.

    Args:
        found: The agreement.
        unit: Objective label to the unit of its scores.
    """
    told = [
        f"Models were scored as served in {found.scheme}: weights of linear layers but the output head rounded to "
        f"torchao's grid, products in {found.dtype}. Exported weights are not quantised."
    ]
    if not found.tau:
        return [*told, "How far that ranks as unquantised scores do was not measured."]
    parts = [f"{label}: tau {found.tau[label]:.2f}, lost {drop(found.loss[label], unit[label])}" for label in found.tau]
    items = "search items" if found.split == "search" else "selection items, as too few were asked all search items"
    return [
        *told,
        f"{count(found.models, 'model')}, baselines and finalists among them, were scored unquantised too, on the same "
        f"{items}; Kendall's tau of the two orders, and what quantisation costs on average: {'; '.join(parts)}.",
    ]


def _sides(both: list[tuple[Evaluation, dict[str, float]]]) -> tuple[list[Mapping[str, float]], list[Any]]:
    return [e.metrics for e, _ in both], [own for _, own in both]
