"""The merged delta times a factor of each group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evomerge.methods import TensorSources
from evomerge.post._shared.declaration import Options, PostProcess, StepContext, Values
from evomerge.recipe import Coefficient

if TYPE_CHECKING:
    import torch


def _coefficients(options: Options) -> tuple[Coefficient, ...]:
    return (Coefficient("factor", 0.0, 2.0, 1.0, per_model=False, doc="factor of the merged delta"),)


def _apply(context: StepContext, sources: TensorSources, delta: torch.Tensor, values: Values) -> None:
    delta.mul_(values["factor"])


def _identity(values: Values, options: Options) -> bool:
    return values["factor"] == 1.0


STEP = PostProcess(
    name="scale",
    summary="The merged delta times a factor of each group, also after methods that have no scale of their own.",
    paper="the scaling term of Editing Models with Task Arithmetic, https://arxiv.org/abs/2212.04089, for any method",
    apply=_apply,
    coefficients=_coefficients,
    identity=_identity,
    agrees_with="an example worked by hand",
    cost="a pass over the merged delta",
)
