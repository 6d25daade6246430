"""Systems that merge weights anew for every text, by a router: for one text each is an ordinary merge.

The router is worked out here, as published; its model of a text is a merge of ours with what the router says as
coefficients. There is no checkpoint of such a system, but of any fixed answer of its router there is one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tests.golden.data_table.case import Compute, DataFamily
from tests.golden.table.case import Tensors
from tests.golden.tensor_merge import TensorMerge

_MLP = "model.layers.0.mlp."
_ADAPTER = f"{_MLP}down_proj."


def chosen(family: DataFamily) -> Tensors:
    """MEO for whole texts: those experts count that the router finds best for the mean of a text."""
    given, found = family.statistics(), []
    parts = [name for name in ("weight", "bias") if name in given]
    experts = {str(i): {_ADAPTER + part: given[part][i] for part in parts} for i in range(len(given["weight"]))}
    for x, weights in zip(given["x"], _of_best(given, family.settings["k"]), strict=True):
        merged = TensorMerge("linear", {"weight": weights.tolist()}, base=None).of(experts)
        found.append(torch.nn.functional.linear(x, merged[_ADAPTER + "weight"], merged.get(_ADAPTER + "bias")))
    return {"y": torch.stack(found)}


def _of_best(given: Tensors, count: int) -> torch.Tensor:
    """Of each text the weights of the experts, which are 0 but of the best."""
    logits = given["x"].mean(1) @ given["w_gate"]
    best = logits.topk(count, dim=1)
    return torch.zeros_like(logits).scatter(1, best.indices, best.values.softmax(1))


def routed(family: DataFamily) -> Tensors:
    """WEMoE with a router of two layers: task arithmetic on one MLP with the router's mean over a text."""
    given = family.statistics()
    first, second = ((given[f"gate.{part}.weight"], given[f"gate.{part}.bias"]) for part in ("fc1", "fc2"))
    said = torch.nn.functional.linear(torch.nn.functional.linear(given["x"], *first).relu(), *second).mean(1)
    return {"y": torch.stack([of_mlp(family, x, own.tolist()) for x, own in zip(given["x"], said, strict=True)])}


def constant(family: DataFamily) -> Tensors:
    """A router without layers says the same of every text: task arithmetic on one MLP."""
    given = family.statistics()
    return {"y": of_mlp(family, given["x"], given["gate.weight"].tolist())}


def of_mlp(family: DataFamily, x: torch.Tensor, weights: Sequence[float]) -> torch.Tensor:
    """Outputs of an MLP that is merged by task arithmetic."""
    models = {
        name: {own: tensor for own, tensor in family.model(name).items() if own.startswith(_MLP)}
        for name in ("base", *family.experts)
    }
    merged = TensorMerge("task_arithmetic", {"weight": list(weights)}).of(models)
    gate, up, down = (merged[f"{_MLP}{name}_proj.weight"] for name in ("gate", "up", "down"))
    return (torch.nn.functional.silu(x @ gate.T) * (x @ up.T)) @ down.T


CASES: dict[str, Compute] = {
    **dict.fromkeys(("meo_sequence_k1", "meo_sequence_k2", "meo_sequence_k4"), chosen),
    "wemoe_router0": constant,
    "wemoe_router2": routed,
}
