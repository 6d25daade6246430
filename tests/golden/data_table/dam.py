"""DAM by coefficients that are given."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from tests.golden.data_table.case import Compute, DataFamily
from tests.golden.table.case import Merge, Tensors


@dataclass(frozen=True)
class Apply:
    """The merged weights of all coefficients."""

    method: str = field(default="dam", init=False)

    def __call__(self, family: DataFamily) -> Tensors:
        given, experts = family.statistics(), family.experts
        activation = family.settings["non_linearity"].lower()

        def factors(model: str, name: str) -> torch.Tensor | None:
            return given.get(f"{name.removesuffix('.weight')}.mergers.{experts.index(model)}")

        merge = Merge(self.method, {"strength": 1.0}, {"activation": activation}, sources=experts)
        return merge.given(family.folder, {"dam": factors})


CASES: dict[str, Compute] = {"dam_apply_none": Apply(), "dam_apply_tanh": Apply()}
