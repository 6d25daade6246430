"""One model as it is, each tensor times a scale: for stacks of layers, as mergekit's ``passthrough``.

Which model's tensor goes where is said by the recipe's layers. Scales below 1 of the projections that end a residual
branch soften a repeated layer; a scale of 0 writes zeros.

Nothing is prepared; a candidate costs one pass over the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from evomerge.kernels import Finite, Mixture, Part, mix
from evomerge.methods._shared.coefficients import shared
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Coefficients, Options, Starts, TensorContext, TensorSources
from evomerge.methods._shared.mergekit import MergekitParameters
from evomerge.recipe import Coefficient


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the scaled model, bit by bit the same where the scale is 1."""
    scale = shared(coefficients["scale"])
    if scale:
        return mix(Mixture(None, [Part(sources.flat_models[0], scale)]), out).finite
    out.detach().zero_()
    return True


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``scale``, 1 by default."""
    return (Coefficient("scale", 0.5, 1.5, 1.0, per_model=False, doc="factor of the tensor; may be zero or negative"),)


def starts(n_models: int, options: Options) -> Starts:
    """The model itself."""
    return {"uniform": {"scale": 1.0}, "model:0": {"scale": 1.0}}


def mergekit(options: Options) -> Mapping[str, Any]:
    """Mergekit's ``passthrough``."""
    return {}


METHOD = MergeMethod(
    name="passthrough",
    summary="one model as it is, times a scale",
    paper="rule of mergekit's passthrough, https://github.com/arcee-ai/mergekit",
    merge=merge,
    coefficients=coefficients,
    base="optional",
    models=(1, 1),
    starts=starts,
    mergekit=mergekit,
    mergekit_parameters=MergekitParameters(untouched=lambda n_models, has_base: {"scale": 1.0}),
    agrees_with="mergekit 0.1.5",
)
