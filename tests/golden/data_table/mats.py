"""MaTS by conjugate gradients, its form of RegMean, and RegMean++."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from evomerge import transforms
from evomerge.checkpoints import open_source
from evomerge.merging import LiveModel
from evomerge.transforms._shared.regression import regression
from evomerge.transforms._shared.subspaces import merge_matrices, scaled_off_diagonal
from tests.golden.data_table.case import Compute, DataFamily
from tests.golden.table.case import Tensors


def conjugate_gradients(family: DataFamily) -> Tensors:
    """A few iterations, or to convergence, from each published start; the mean where there is no matrix."""
    settings, forward = family.settings, family.expected("stats_gram")
    backward = family.expected("stats_kfac") if settings["use_backward"] else None
    base, experts = family.model("base"), [family.model(name) for name in family.experts]
    found = {}
    for name in base:
        weights, module = [expert[name] for expert in experts], name.removesuffix(".weight")
        mean = torch.stack(weights).mean(0)
        found[name] = mean
        if f"expert_1/{module}" in forward and module != "lm_head":
            solved = merge_matrices(
                weights,
                _scaled(family, forward, "{}/" + module),
                None if backward is None else _scaled(family, backward, "{}/out/" + module),
                _start(settings, base[name], weights),
                iterations=settings["num_iterations"],
            )
            found[name] = solved.values.float()
    return found


def _scaled(family: DataFamily, grams: Tensors, form: str) -> list[torch.Tensor]:
    factor = family.settings["model_lambda"]
    return [scaled_off_diagonal(grams[form.format(expert)], factor) for expert in family.experts]


def _start(settings: Mapping[str, Any], base: torch.Tensor, weights: list[torch.Tensor]) -> torch.Tensor:
    if settings["initialization"] == "average":
        return torch.stack(weights).mean(0)
    if settings["initialization"] == "task_arithmetic":
        return base + settings["task_arithmetic_scale"] * torch.stack([weight - base for weight in weights]).sum(0)
    assert settings["initialization"] in (None, "zero")
    return torch.zeros_like(base)


def regmean(family: DataFamily) -> Tensors:
    """A solution for every matrix that has a Gram matrix, the mean of everything else."""
    grams, experts = family.expected("stats_gram"), [family.model(name) for name in family.experts]
    found = {}
    for name in experts[0]:
        weights, module = [expert[name] for expert in experts], name.removesuffix(".weight")
        found[name] = torch.stack(weights).mean(0)
        if f"expert_1/{module}" in grams:
            own = [grams[f"{expert}/{module}"] for expert in family.experts]
            found[name] = regression(weights, own, family.settings["model_lambda"], found[name])
    return found


def regmean_plusplus(family: DataFamily) -> Tensors:
    """The transformation itself, on checkpoints and token ids."""
    tokens, declared = family.inputs("tokens"), transforms.load("regmean_plusplus")
    assert not family.settings["exclude"]
    work = transforms.Work(
        base=open_source(family.folder / "base"),
        experts=[open_source(family.folder / name) for name in family.experts],
        labels=family.experts,
        texts=[tokens[name.replace("expert", "task")].tolist() for name in family.experts],
        options=declared.resolve({"alpha": family.settings["reduce_non_diagonal_ratio"]}),
        load=lambda: LiveModel.load(family.folder / "base"),
    )
    (made,) = declared.make(work)
    return {name: made.changed.get(name, tensor) for name, tensor in family.model("base").items()}


CASES: dict[str, Compute] = {
    "mats_cg_forward_average_100": conjugate_gradients,
    "mats_cg_forward_average_6": conjugate_gradients,
    "mats_cg_forward_zero_5": conjugate_gradients,
    "mats_cg_kfac_average_100": conjugate_gradients,
    "mats_cg_kfac_average_5": conjugate_gradients,
    "mats_cg_kfac_ta_6": conjugate_gradients,
    "mats_regmean_lambda_0.9": regmean,
    "regmean_plusplus_alpha_0.1": regmean_plusplus,
    "regmean_plusplus_alpha_0.95": regmean_plusplus,
}
