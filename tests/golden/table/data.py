"""Methods that look at data, given statistics that were made up."""

from __future__ import annotations

import numpy as np
import torch

from evomerge.recipe import PostStep
from tests.golden.table.case import EXPERTS, Compute, Computed, Family, Merge, Tensors


def _fisher(family: Family) -> Tensors:
    """MergeLM's rule with lengths of models."""
    options = {"floor": family.settings["minimal_fisher_weight"], "stored": "float32"}
    merge = Merge("fisher", {"weight": family.settings["fisher_scaling_coefficients"]}, options)

    def fisher(model: str, name: str) -> torch.Tensor | None:
        return family.statistics.get(f"fisher{EXPERTS.index(model)}.{name}")

    return merge.given(family.folder, {"fisher": fisher})


def _aim(family: Family) -> Tensors:
    """Task arithmetic, then AIM."""
    post = (PostStep("aim", {}, {"omega": np.array([family.settings["omega"]])}),)

    def importance(model: str, name: str) -> torch.Tensor | None:
        return family.statistics.get(f"importance.{name.removesuffix('.weight')}")

    merge = Merge("task_arithmetic", {"weight": family.settings["lamb"]}, post=post)
    return merge.given(family.folder, {"base:channel_abs": importance})


def _regmean(family: Family) -> Tensors:
    """MergeLM's rule."""
    merge = Merge("regmean", {"alpha": family.settings["reduce_non_diagonal_ratio"]})

    def gram(model: str, name: str) -> torch.Tensor | None:
        return family.statistics.get(f"gram{EXPERTS.index(model)}.{name.removesuffix('.weight')}")

    return merge.given(family.folder, {"gram": gram})


CASES: dict[str, Compute] = {
    "aim_ta04_omega04": Computed("task_arithmetic", _aim),
    "fisher_given_normalized": Computed("fisher", _fisher),
    "regmean_given_a09": Computed("regmean", _regmean),
}
