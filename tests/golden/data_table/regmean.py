"""RegMean: the rule of its authors."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from tests.golden.data_table.case import Compute, DataFamily, of_model
from tests.golden.table.case import Merge, Tensors

# Linear layers that share an input, by the last part of their names.
_GROUPS = {"q_proj": "qkv", "k_proj": "qkv", "v_proj": "qkv", "gate_proj": "gate_up", "up_proj": "gate_up"}


@dataclass(frozen=True)
class RegMean:
    """A case of stored Gram matrices; where all models count alike, in both forms that there are for that."""

    method: str = field(default="regmean", init=False)

    def __call__(self, family: DataFamily) -> Tensors:
        settings = family.settings
        diagonal, alpha = settings.get("regmean_diag", False), settings.get("regmean_reduce_nondiag", -1.0)
        alpha = 1.0 if alpha < 0 else alpha
        weights, excluded = settings.get("model_coeffs"), settings.get("regmean_exclude_param_regex")
        options = {"excluded": "|".join(f"(?:{own})" for own in excluded)} if excluded else {}
        values = {"weight": weights or 1.0} | ({} if diagonal else {"alpha": alpha})
        found = merged(family, Merge("regmean", values, options | ({"alpha": 0.0} if diagonal else {})))
        if weights is None and not diagonal:
            same = merged(family, Merge("regmean", {"alpha": alpha}, options | {"weights": "fixed"}))
            assert all(torch.allclose(same[name], own, rtol=0, atol=2e-5) for name, own in found.items())
        return found


def merged(family: DataFamily, merge: Merge) -> Tensors:
    """The merge of all experts."""
    grams = {expert: of_model(family.statistics(), expert) for expert in family.experts}

    def gram(model: str, name: str) -> torch.Tensor | None:
        module = name.removesuffix(".weight")
        parent, _, own = module.rpartition(".")
        return grams[model].get(module, grams[model].get(f"{parent}.{_GROUPS.get(own)}"))

    own = Merge(merge.method, merge.values, merge.options, sources=family.experts)
    return own.given(family.folder, {"gram": gram})


CASES: dict[str, Compute] = {
    "regmean_alpha_0.1": RegMean(),
    "regmean_alpha_0.9": RegMean(),
    "regmean_alpha_1": RegMean(),
    "regmean_diagonal": RegMean(),
    "regmean_excluded_alpha_0.9": RegMean(),
    "regmean_synthetic_alpha_0.9": RegMean(),
    "regmean_weighted_alpha_0.9": RegMean(),
}
