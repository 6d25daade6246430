"""Subspaces of deltas, layers of one model, weights from losses, and the likeness of models."""

from __future__ import annotations

import itertools

import torch

from evomerge.analysis import Kinship, Sums, loss_weights
from evomerge.checkpoints import compare_deltas, open_source
from evomerge.run.likeness import sums_of
from tests.golden.table.case import EXPERTS, Compute, Family, Merge, Tensors


def cocktail(temperature: float) -> Compute:
    """A weighted average by the losses of the case."""

    def compute(family: Family) -> Tensors:
        weights = loss_weights(family.settings["losses"], temperature)
        return Merge("linear", {"weight": weights}, sources=tuple(family.settings["models"]), base=None)(family)

    return compute


def kinship(family: Family) -> Tensors:
    """Kinship of all pairs: of whole models, as the mean over tensors, and of 8 bits."""
    base, *experts = (open_source(family.folder / name) for name in ("base", *EXPERTS))
    plain, rounded = (
        [sums_of(one) for one in compare_deltas(base, experts, list(base.specs), levels=levels)]
        for levels in (None, 127)
    )
    return {
        **pairs("", Sums.over(plain).kinship()),
        **pairs("split.", Kinship.mean([one.kinship() for one in plain], [one.numel for one in plain])),
        **pairs("int8.", Sums.over(rounded).kinship()),
    }


def pairs(prefix: str, found: Kinship) -> Tensors:
    """Correlation, distance and cosine of each pair of experts."""
    numbers = (found.correlation, found.distance, found.cosine)
    every = itertools.combinations(range(len(EXPERTS)), 2)
    return {f"{prefix}pair{i}{j}": torch.tensor([float(matrix[i, j]) for matrix in numbers]) for i, j in every}


CASES: dict[str, Compute] = {
    "lm_cocktail_T5": cocktail(5.0),
    "lm_cocktail_T05_with_base": cocktail(0.5),
    "kinship": kinship,
}
