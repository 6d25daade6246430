"""Subspaces of deltas, layers of one model, weights from losses, and the likeness of models."""

from __future__ import annotations

import itertools

import numpy as np
import torch

from evomerge import methods
from evomerge.analysis import Kinship, Sums, fusion_ratio, loss_weights
from evomerge.checkpoints import compare_deltas, open_source
from evomerge.merging import Checkpoints, Merger
from evomerge.recipe import (
    DEFAULT_LAYER_PATTERN,
    CheckpointRef,
    Group,
    ParameterGroups,
    PostStep,
    Recipe,
    fused_layers,
    layer_of,
)
from evomerge.run.likeness import sums_of
from tests.golden.table.case import EXPERTS, Compute, Family, Merge, Tensors


def cocktail(temperature: float) -> Compute:
    """A weighted average by the losses of the case."""

    def compute(family: Family) -> Tensors:
        weights = loss_weights(family.settings["losses"], temperature)
        return Merge("linear", {"weight": weights}, sources=tuple(family.settings["models"]), base=None)(family)

    return compute


def fusion(family: Family) -> Tensors:
    """One layer of two layers of the base, without their norms."""
    pair: tuple[int, int] = tuple(family.settings["pair"])
    ratio = fusion_ratio(family.settings["similarity_matrix"], pair, beta=family.settings["beta"])
    recipe = Recipe(
        "linear",
        methods.load("linear").resolve({}),
        (CheckpointRef(str(family.folder / "base")),),
        None,
        ParameterGroups((Group("fused", kinds=("attention", "mlp")), Group("rest", frozen=True))),
        {"weight": np.array([[ratio, 1 - ratio]] * 2)},
        layers=fused_layers(depth(family.model("base")), pair),
        out_dtype="float32",
    )
    return dict(Merger(Checkpoints.open(recipe)).stream(recipe))


def depth(tensors: Tensors) -> int:
    """Number of layers."""
    found = (layer_of(name, DEFAULT_LAYER_PATTERN) for name in tensors)
    return 1 + max(layer for layer in found if layer is not None)


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


ATTENTION = ("attention",)
MATRICES = (*ATTENTION, "mlp")


def knots(density: float, scale: float, only: tuple[str, ...]) -> Merge:
    """KnOTS with the paper's options."""
    return Merge("knots", {"density": density, "lambda": scale}, {"others": "base"}, only=only)


def calibrated(alpha: float) -> Merge:
    """Task arithmetic with the scale of SVC's code, calibrated."""
    return Merge("task_arithmetic", {"weight": 0.3}, post=(PostStep("svc", {}, {"alpha": np.array([alpha])}),))


CASES: dict[str, Compute] = {
    "knots_ties_2d_top30_s1": knots(0.3, 1.0, MATRICES),
    "knots_ties_attn_top100_s05": knots(1.0, 0.5, ATTENTION),
    "knots_ties_attn_top20_s06": knots(0.2, 0.6, ATTENTION),
    "svc_ta_alpha033": calibrated(1 / 3),
    "svc_ta_alpha1": calibrated(1.0),
    "opcm_alpha05": Merge("opcm", options={"alpha": 0.5}),
    "lm_cocktail_T5": cocktail(5.0),
    "lm_cocktail_T05_with_base": cocktail(0.5),
    "mka_layer_fusion": fusion,
    "kinship": kinship,
}
