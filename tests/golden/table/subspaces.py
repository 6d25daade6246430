"""Subspaces of deltas, layers of one model, weights from losses, and the likeness of models."""

from __future__ import annotations

from evomerge.analysis import loss_weights
from tests.golden.table.case import Compute, Family, Merge, Tensors


def cocktail(temperature: float) -> Compute:
    """A weighted average by the losses of the case."""

    def compute(family: Family) -> Tensors:
        weights = loss_weights(family.settings["losses"], temperature)
        return Merge("linear", {"weight": weights}, sources=tuple(family.settings["models"]), base=None)(family)

    return compute


CASES: dict[str, Compute] = {
    "lm_cocktail_T5": cocktail(5.0),
    "lm_cocktail_T05_with_base": cocktail(0.5),
}
