"""Element-wise merges of deltas, their per-task reconstructions, and scales from the sizes of deltas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from evomerge.methods import TensorContext, TensorSources, emr
from tests.golden.table.case import EXPERTS, Compute, Computed, Family, Merge, Tensors


def _emr(family: Family) -> Tensors:
    """The elected delta, the scale of each task, and the reconstruction of the second expert."""
    found = {f"unified.{name}": tensor for name, tensor in _change(family, Merge("emr")).items()}
    found["rescalers"] = torch.tensor([emr.rescaler(_tensors(family), task) for task in range(len(EXPERTS))])
    return found | _named("task1", Merge("emr", options={"task": 1})(family))


def _tall(family: Family) -> Tensors:
    """The reconstruction of the first expert."""
    return _named("task0", Merge("consensus", {"mask_lambda": 0.4}, {"task": 0})(family))


def _change(family: Family, merge: Merge) -> dict[str, torch.Tensor]:
    base = family.model("base")
    return {name: tensor - base[name] for name, tensor in merge(family).items()}


def _named(prefix: str, tensors: Tensors) -> dict[str, torch.Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def _tensors(family: Family, options: Mapping[str, Any] | None = None) -> list[tuple[TensorContext, TensorSources]]:
    """All tensors of the family, as a survey goes through them."""
    experts = [family.model(name) for name in EXPERTS]
    return [
        (TensorContext(name), TensorSources(tensor, [expert[name] for expert in experts], options or {}))
        for name, tensor in family.model("base").items()
    ]


def _consensus(limits: float | tuple[float, ...], k: int, scale: float) -> Merge:
    return Merge("consensus", {"mask_lambda": limits, "lambda": scale}, {"k": k})


def _consensus_ties() -> Merge:
    values = {"density": 0.2, "mask_lambda": 0.4, "lambda": 0.3}
    return Merge("consensus", values, {"k": 2, "vector": "ties"})


CASES: dict[str, Compute] = {
    "magmax_a05": Merge("magmax", {"lambda": 0.5}),
    "magmax_a05_edge": Merge("magmax", {"lambda": 0.5}),
    "emr": Computed("emr", _emr),
    "emr_edge": Computed("emr", _emr),
    "consensus_ta_lam04_k2_a03": _consensus(0.4, 2, 0.3),
    "consensus_ta_lam04_k2_a03_edge": _consensus(0.4, 2, 0.3),
    "consensus_ta_lams_k1_a05": _consensus((0.2, 0.4, 0.6), 1, 0.5),
    "consensus_ties_lam04_k2_a03": _consensus_ties(),
    "consensus_ties_lam04_k2_a03_edge": _consensus_ties(),
    "tall_mask_lam04": Computed("consensus", _tall),
    "varm_avg_param_square": Merge("varm"),
    "metagpt_star_repo": Merge("metagpt"),
    "expo_alpha03": Merge("expo", {"alpha": 0.3}, sources=("expert0",)),
    "widen_r05_c07": Merge("widen", {"ratio": 0.5, "calibration": 0.7}),
    "widen_r1_c1": Merge("widen", {"ratio": 1.0, "calibration": 1.0}),
    "bitdelta_expert0": Merge("bitdelta", sources=("expert0",)),
}
