r"""LiNeS: the merged delta of deeper layers counts more.

The merged delta of layer ``l`` of ``L`` is multiplied by ``alpha + beta * l / (L - 1)``, everything outside the layers
by ``alpha`` (Wang et al. 2025).

| | alpha | beta |
|---|---|---|
| paper, merging | \|\|sum of deltas\|\|_1 / \|\|merged delta\|\|_1 / number of models | searched |
| paper, one model | given | 1 - alpha |
| ours | ``alpha_from=norm``: the first; ``alpha_from=value``: a coefficient | a coefficient |

With ``alpha_from=norm`` the 1-norm of the sum of all deltas is computed once per search (one pass over all models),
and that of the merged delta once per candidate, which takes one more merge of all tensors. ``alpha_from=value`` takes
neither. Both norms are over the tensors that are merged. Where the merged delta is zero, alpha is 1. In a model of one
layer ``l / (L - 1)`` is 0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from evomerge.kernels import flat
from evomerge.methods import TensorSet, TensorSources
from evomerge.options import Option
from evomerge.post._shared.declaration import DeltaSet, Options, PostProcess, StepContext, Values
from evomerge.post._shared.merged_values import length, summed_delta
from evomerge.recipe import Coefficient

if TYPE_CHECKING:
    import torch

_ALPHA = Coefficient(
    "alpha", 0.0, 1.5, 1.0, per_model=False, whole=True, doc="factor of the first layer, and outside the layers"
)
_BETA = Coefficient(
    "beta", 0.0, 1.5, 0.0, per_model=False, whole=True, doc="factor of the last layer less that of the first"
)


def _coefficients(options: Options) -> tuple[Coefficient, ...]:
    return (_BETA,) if options["alpha_from"] == "norm" else (_ALPHA, _BETA)


def _measures(options: Options) -> bool:
    return bool(options["alpha_from"] == "norm")


def _survey(tensors: TensorSet, options: Options) -> float | None:
    """The 1-norm of the sum of all models' deltas."""
    if not _measures(options):
        return None
    return math.fsum(
        length(sources.flat_base.numel(), summed_delta(sources)) / len(sources.models) for _, sources in tensors
    )


def _measure(deltas: DeltaSet, survey: float, options: Options) -> float:
    """Alpha: the norm of the mean delta over that of the merged one."""
    merged = math.fsum(length(delta.numel(), flat(delta).__getitem__) for _, _, delta in deltas)
    return survey / merged if merged else 1.0


def _apply(context: StepContext, sources: TensorSources, delta: torch.Tensor, values: Values) -> None:
    alpha = context.measured if _measures(context.options) else values["alpha"]
    depth = (context.layer or 0) / (context.layers - 1) if context.layers > 1 else 0.0
    delta.mul_(alpha + values["beta"] * depth)


def _identity(values: Values, options: Options) -> bool:
    return not _measures(options) and values["alpha"] == 1.0 and values["beta"] == 0.0


STEP = PostProcess(
    name="lines",
    summary="LiNeS: the merged delta is scaled by a straight line over depth, so that shallow layers change less.",
    paper="LiNeS: Post-training Layer Scaling Prevents Forgetting and Enhances Model Merging, "
    "https://arxiv.org/abs/2410.17146",
    apply=_apply,
    coefficients=_coefficients,
    options={
        "alpha_from": Option(
            "norm",
            ("norm", "value"),
            str,
            "norm: alpha follows from the lengths of the mean delta and of the merged one, which takes one more merge "
            "of every candidate; value: it is a coefficient",
        )
    },
    identity=_identity,
    survey=_survey,
    measure=_measure,
    measures=_measures,
    agrees_with="the authors' code",
    cost="a pass over the merged delta; with alpha_from=norm one more merge of all tensors, and once per search a pass "
    "over base and models",
)
