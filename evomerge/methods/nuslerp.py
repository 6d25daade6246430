"""Spherical interpolation of two models or, with a base, of their deltas.

There is no paper; the rule is mergekit's. It differs from ``slerp`` in that the position comes from two weights, deltas
can be interpolated, there is a choice of what counts as a vector, and only vectors along one line are interpolated
linearly (``slerp`` does so below an angle of 1.8 degrees). A vector of zeros counts as orthogonal to everything.

==========  ==========================================================
vectors     mergekit's parameters
==========  ==========================================================
tensor      ``nuslerp_flatten: true``, its default
rows        ``nuslerp_flatten: false``
columns     ``nuslerp_flatten: false`` and ``nuslerp_row_wise: true``
==========  ==========================================================

Only the proportions of the weights matter; a negative one goes beyond the other model. As in mergekit, weights that
cancel give the middle; a recipe whose weights are all zero is refused.

Prepared are inner products of the vectors, 8 bytes for each pair of models and vector; a candidate costs one pass over
base and models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from evomerge.kernels import Finite
from evomerge.methods._shared.coefficients import model_starts, per_model, weight
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Coefficients, Options, TensorContext, TensorSources
from evomerge.methods._shared.mergekit import MergekitParameters, first_alone
from evomerge.methods._shared.vectors import VECTORS, add_up, grams_bytes, prepare_grams
from evomerge.recipe import Coefficient

_LEAST_SUM = 1e-6
_LEAST_LENGTH = 1e-7
# Of opposite vectors rounding leaves more than nothing, and the factors would be its inverse.
_LEAST_SINE = 1e-6


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the point between the models, or the base plus the point between their deltas."""
    weights, base = per_model(coefficients["weight"]), None if sources.base is None else sources.flat_base
    if base is not None and not any(weights):
        factors = torch.zeros(1, 2)
    else:
        t = weights[1] / sum(weights) if abs(sum(weights)) >= _LEAST_SUM else 0.5
        factors = factors_at(sources.prepared["grams"], t)
    return add_up(base, sources.flat_models, factors, sources.options["vectors"], out)


def factors_at(grams: torch.Tensor, t: float) -> torch.Tensor:
    """Factors of both vectors of each pair, ``(vectors, 2)``, at ``t`` of the way from the first to the second."""
    lengths = grams.diagonal(dim1=1, dim2=2).sqrt().clamp(min=_LEAST_LENGTH)
    angle = (grams[:, 0, 1] / lengths.prod(dim=1)).clamp(-1, 1).acos()
    sine = angle.sin()
    along = torch.tensor([1 - t, t], dtype=torch.float64)
    spherical = (along * angle[:, None]).sin() / sine[:, None]
    return torch.where((sine < _LEAST_SINE)[:, None], along, spherical)


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight``: proportions, one gene."""
    return (weight(simplex=True, signed=True),)


def mergekit(options: Options) -> Mapping[str, Any]:
    """Mergekit's ``nuslerp``; with the recipe's base, if it has one."""
    vectors = options["vectors"]
    return {"nuslerp_flatten": vectors == "tensor", "nuslerp_row_wise": vectors == "columns"}


def read(parameters: Mapping[str, Any]) -> Options:
    """The option from mergekit's parameters."""
    if parameters["nuslerp_flatten"]:
        return {"vectors": "tensor"}
    return {"vectors": "columns" if parameters["nuslerp_row_wise"] else "rows"}


METHOD = MergeMethod(
    name="nuslerp",
    summary="spherical interpolation of two models or, with a base, of their deltas; by tensors, rows or columns",
    paper="rule of mergekit's nuslerp, https://github.com/arcee-ai/mergekit",
    merge=merge,
    coefficients=coefficients,
    options={"vectors": VECTORS},
    base="either",
    models=(2, 2),
    prepare=prepare_grams,
    prepared_bytes=grams_bytes,
    starts=model_starts,
    exact_starts="models",
    mergekit=mergekit,
    mergekit_parameters=MergekitParameters(
        defaults={"nuslerp_flatten": True, "nuslerp_row_wise": False}, read=read, untouched=first_alone
    ),
    agrees_with="mergekit 0.1.5",
)
