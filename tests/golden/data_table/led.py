"""LED-Merging by stored scores."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from tests.golden.data_table.case import Compute, DataFamily
from tests.golden.table.case import Merge, Tensors


@dataclass(frozen=True)
class Led:
    """A case: scores are those of experts and, on the texts of each, of the base."""

    method: str = field(default="led", init=False)

    def __call__(self, family: DataFamily) -> Tensors:
        settings, scores = family.settings, family.statistics()
        values = {"weight": settings["lambdas"], "rate": settings["rates"]}

        def own(model: str, name: str) -> torch.Tensor | None:
            return scores.get(f"{model}/{name}")

        def of_base(model: str, name: str) -> torch.Tensor | None:
            return scores.get(f"base_on_task_{model.removeprefix('expert_')}/{name}")

        merge = Merge(self.method, values, {"zeros": "elected"}, sources=family.experts)
        return merge.given(family.folder, {"snip": own, "base:snip": of_base})


CASES: dict[str, Compute] = {"led_0.1_0.4_0.5": Led(), "led_0.3_lambdas": Led()}
