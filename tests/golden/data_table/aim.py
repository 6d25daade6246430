"""AIM on a merge that is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
import torch

from evomerge.recipe import PostStep
from tests.golden.data_table.case import Compute, DataFamily
from tests.golden.table.case import Merge, Tensors

# Binary logarithms of the exponents of their functions.
_EXPONENTS = {"identity": 0.0, "x**2": 1.0}


@dataclass(frozen=True)
class Aim:
    """A case of stored importance."""

    step: str = "aim"

    def __call__(self, family: DataFamily) -> Tensors:
        settings, channels = family.settings, family.statistics()
        exponent = _EXPONENTS[settings["nonlinear_scaling"]]

        def importance(model: str, name: str) -> torch.Tensor | None:
            return channels.get(name.removesuffix(".weight"))

        values = {"omega": np.array([settings["omega"]]), "log2_exponent": np.array([exponent])}
        post = (PostStep(self.step, {"exponent": "searched"}, values),)
        merge = Merge("task_arithmetic", post=post, sources=(PurePath(settings["merged"]).stem,))
        return merge.given(family.folder, {"base:channel_abs": importance})


CASES: dict[str, Compute] = {
    "aim_omega_0": Aim(),
    "aim_omega_0.2_squared": Aim(),
    "aim_omega_0.4": Aim(),
    "aim_omega_0.4_bf16": Aim(),
}
