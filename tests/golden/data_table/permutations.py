"""Permutations of neurons, ZipIt's matching, and PLeaS.

The model to be aligned is the second expert with its neurons shuffled, as ``perm_weight_matching`` says. Costs of a
partial merge are those of one round of weight matching, which are inner products of weights: of more rounds the
official function returns the costs of the model that is permuted already, with which other neurons would stay alone.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from evomerge.checkpoints import open_source
from evomerge.merging import LiveModel
from evomerge.statistics import inputs_of, matrices, write
from evomerge.transforms._shared.matching import Matched, assign, feature_similarity
from evomerge.transforms._shared.partial import Blocks, LeastSquares
from evomerge.transforms._shared.units import Axes, inner, neurons
from evomerge.transforms._shared.zipit import zip_features
from tests.golden.data_table.case import Compute, DataFamily
from tests.golden.table.case import Tensors

SHUFFLE = "perm_weight_matching"


def pair(family: DataFamily) -> tuple[Tensors, Tensors]:
    """The first expert, and the second with its neurons shuffled."""
    second = dict(family.model(family.experts[1]))
    orders = load_file(family.root / SHUFFLE / "statistics.safetensors")
    for prefix, axes in mlps(family).items():
        for name, axis in axes:
            second[name] = second[name].index_select(axis, orders[f"shuffle/{prefix}"])
    return family.model(family.experts[0]), second


def mlps(family: DataFamily) -> dict[str, Axes]:
    """The MLPs by their names, without the last dot."""
    return {prefix[:-1]: axes for prefix, axes in neurons(open_source(family.folder / "base")).items()}


def similarities(family: DataFamily) -> dict[str, torch.Tensor]:
    """Inner products of neurons of each MLP."""
    first, second = pair(family)
    return {prefix: inner(first, second, axes, first[axes[0][0]].shape[0]) for prefix, axes in mlps(family).items()}


def matched(family: DataFamily) -> dict[str, Matched]:
    """The assignment of each MLP by weights."""
    return {prefix: assign(similar) for prefix, similar in similarities(family).items()}


def orders(family: DataFamily) -> Tensors:
    """Orders alone."""
    return {f"perm/{prefix}": one.order for prefix, one in matched(family).items()}


def weight_matching(family: DataFamily) -> Tensors:
    """Orders, and the second model's matrices in them."""
    _, second = pair(family)
    found = matched(family)
    values = {
        name: second[name].index_select(axis, found[prefix].order)
        for prefix, axes in mlps(family).items()
        for name, axis in axes
    }
    return {**orders(family), **values}


def activation_matching(family: DataFamily) -> Tensors:
    """Orders by the features that ``down_proj`` reads of all calibration tokens."""
    first, second = (features(family, model) for model in pair(family))
    found = {}
    for prefix in mlps(family):
        both = first[f"{prefix}.down_proj.weight"], second[f"{prefix}.down_proj.weight"]
        found[f"perm_inner/{prefix}"] = assign(feature_similarity(*both)).order
        found[f"perm_cdist/{prefix}"] = assign(feature_similarity(*both, distance=True)).order
    return found


def features(family: DataFamily, tensors: Tensors) -> Tensors:
    """The inputs of all matrices of a model on the calibration tokens, (tokens, channels)."""
    live = LiveModel.load(family.folder / "base")
    write(live, tensors)
    with inputs_of(matrices(live).values()) as seen:
        live.model(input_ids=family.inputs("tokens")["calib"])
    return seen


def zipit(family: DataFamily) -> Tensors:
    """Both matrices, of a covariance that is stored with the case or with the one that it names."""
    settings = family.settings
    own = [family.name, *(part.split("/")[0] for part in settings["features"].split() if "/" in part)]
    path = next(path for name in own if (path := Path(family.root / name / "statistics.safetensors")).exists())
    covariance = load_file(path)["covariance"]
    models = round(1 / (1 - settings["r"]))
    merge, unmerge = zip_features(covariance, models=models, alpha=settings["a"], beta=settings["b"])
    return {"merge": merge, "unmerge": unmerge}


def blocks(family: DataFamily, prefix: str) -> Blocks:
    """The pairs of an MLP."""
    similar = similarities(family)[prefix]
    return Blocks.of(similar, assign(similar).order, family.settings["ratio"])


def partial_merge(family: DataFamily) -> Tensors:
    """All MLPs with the pairs joined and the rest side by side."""
    first, second = pair(family)
    return {
        name: blocks(family, prefix).join(first[name], second[name], axis)
        for prefix, axes in mlps(family).items()
        for name, axis in axes
    }


def least_squares(family: DataFamily) -> Tensors:
    """Steps of Adam from a given start, on the first MLP alone, and the loss before each."""
    prefix, steps = "model.layers.0.mlp", family.settings["steps"]
    start = load_file(family.root / family.name / "statistics.safetensors")
    models, pairs = pair(family), blocks(family, prefix)
    inputs = family.inputs("activations")["expert_1/model.layers.0.mlp.gate_up"].double()

    def outputs(part: str, given: list[torch.Tensor]) -> list[torch.Tensor]:
        weights = [model[f"{prefix}.{part}.weight"].double() for model in models]
        return [one @ weight.T for one, weight in zip(given, weights, strict=True)]

    gates, ups = outputs("gate_proj", [inputs, inputs]), outputs("up_proj", [inputs, inputs])
    hidden = [torch.nn.functional.silu(gate) * up for gate, up in zip(gates, ups, strict=True)]
    outs = outputs("down_proj", hidden)
    samples = {
        "gate_proj": (inputs, pairs.join(gates[0], gates[1], 1)),
        "up_proj": (inputs, pairs.join(ups[0], ups[1], 1)),
        "down_proj": (pairs.join(hidden[0], hidden[1], 1), (outs[0] + outs[1]) / 2),
    }
    found, total = {}, torch.zeros(steps, dtype=torch.float64)
    for part, (given, targets) in samples.items():
        sums = LeastSquares.empty(targets.shape[1], given.shape[1])
        sums.add(given, targets)
        values, losses = sums.descended(start[f"init/{part}.weight"], steps=steps)
        found[f"{part}.weight"] = values.float()
        total += torch.tensor(losses, dtype=torch.float64)
    return found | {"loss": total.float()}


CASES: dict[str, Compute] = {
    "perm_activation_matching": activation_matching,
    "perm_git_rebasin": orders,
    "perm_weight_matching": weight_matching,
    "pleas_least_squares_20_steps": least_squares,
    "pleas_partial_merge_0.0": partial_merge,
    "pleas_partial_merge_0.25": partial_merge,
    "zipit_match_a0.01_b1.0": zipit,
    "zipit_match_a0.3_b0.125": zipit,
}
