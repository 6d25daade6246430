"""Fisher merging: the rules of Matena and Raffel, of RegMean's authors, of MergeLM and of MaTS."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.golden.data_table.case import Compute, DataFamily, of_model
from tests.golden.table.case import Merge, Tensors

Rule = Callable[[Mapping[str, Any]], tuple[Sequence[float], Mapping[str, Any]]]
"""Weights and options from the settings of a case."""


def matena(settings: Mapping[str, Any]) -> tuple[Sequence[float], Mapping[str, Any]]:
    """The floor is the first model's alone if the target is favoured."""
    return settings["coefficients"], {
        "normalise": "model" if settings["normalize_fishers"] else "none",
        "floor": settings["fisher_floor"],
        "floored": "max",
        "target": 0 if settings["favor_target_model"] else None,
    }


def bloomberg(settings: Mapping[str, Any]) -> tuple[Sequence[float], Mapping[str, Any]]:
    """RegMean's authors: lengths of models or of tensors."""
    normalise = {None: "none", "model": "model", "param": "tensor"}[settings["fisher_normalize"]]
    return settings["model_coeffs"], {"normalise": normalise, "floor": settings["fisher_smooth"], "floored": "add"}


def mergelm(settings: Mapping[str, Any]) -> tuple[Sequence[float], Mapping[str, Any]]:
    """MergeLM."""
    normalise = "model" if settings["normalize_fisher_weight"] else "none"
    floor = settings["minimal_fisher_weight"]
    return settings["fisher_scaling_coefficients"], {"normalise": normalise, "floor": floor, "floored": "add"}


@dataclass(frozen=True)
class Fisher:
    """A case of stored Fisher information.

    Attributes:
        rule: How settings are read.
    """

    rule: Rule
    method: str = "fisher"

    def __call__(self, family: DataFamily) -> Tensors:
        weights, options = self.rule(family.settings)
        return merged(family, family.experts, weights, options)


def merged(
    family: DataFamily, experts: Sequence[str], weights: float | Sequence[float], options: Mapping[str, Any]
) -> Tensors:
    """The merge of some experts."""
    fishers = {expert: of_model(family.statistics(), expert) for expert in experts}
    merge = Merge("fisher", {"weight": weights}, {"stored": "float32", **options}, sources=tuple(experts))
    return merge.given(family.folder, {"fisher": lambda model, tensor: fishers[model].get(tensor)})


@dataclass(frozen=True)
class Mats:
    """MaTS' diagonal form: ``model_lambda`` is the first model's weight where there are two, else all count alike."""

    count: int | None = None
    method: str = "fisher"

    def __call__(self, family: DataFamily) -> Tensors:
        share = family.settings["model_lambda"]
        options = {"normalise": "none", "floor": family.settings["floor"], "floored": "max"}
        return merged(family, family.experts[: self.count], (share, 1 - share) if self.count == 2 else 1.0, options)


CASES: dict[str, Compute] = {
    "fisher_bloomberg_norm_None": Fisher(bloomberg),
    "fisher_bloomberg_norm_model": Fisher(bloomberg),
    "fisher_bloomberg_norm_param": Fisher(bloomberg),
    "fisher_matena": Fisher(matena),
    "fisher_matena_highfloor": Fisher(matena),
    "fisher_matena_nonorm_allfloor": Fisher(matena),
    "fisher_matena_weighted": Fisher(matena),
    "fisher_mergelm_norm_False": Fisher(mergelm),
    "fisher_mergelm_norm_True": Fisher(mergelm),
    "mats_diagonal_fisher": Mats(),
    "mats_diagonal_fisher_two_0.7": Mats(2),
}
