"""Spherical interpolation between two models, tensor by tensor.

There is no paper; the rule is mergekit's. The angle is that between the flattened tensors, the interpolated vectors
keep their lengths, and tensors that point nearly the same or the opposite way (|cosine| above 0.9995) are interpolated
linearly. A tensor of zeros has no direction; it counts as orthogonal to everything, which gives finite results and the
right ends.

Prepared are the inner products of the two tensors; a candidate costs one pass over them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from evomerge.kernels import Finite, Mixture, Part, dot, flat, mix
from evomerge.methods._shared.coefficients import shared
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Coefficients, Options, Starts, TensorContext, TensorSources
from evomerge.methods._shared.mergekit import MergekitParameters
from evomerge.recipe import Coefficient

_PARALLEL = 0.9995
_ZERO_NORM = 1e-8


def prepare(
    context: TensorContext, base: torch.Tensor | None, models: Sequence[torch.Tensor], options: Options
) -> Mapping[str, torch.Tensor]:
    """Measures inner products in float64 sums: ``gram``, shape (2, 2)."""
    first, second = (flat(model) for model in models)
    inner, squares, other = dot(first, second), dot(first, first), dot(second, second)
    return {"gram": torch.tensor([[squares, inner], [inner, other]], dtype=torch.float64)}


def angle_between(gram: torch.Tensor) -> float | None:
    """The angle between two tensors in radians, or None where they are to be interpolated linearly."""
    (squares, inner), (_, other) = gram.tolist()
    lengths = math.sqrt(squares), math.sqrt(other)
    if min(lengths) <= _ZERO_NORM:
        return math.pi / 2
    cosine = inner / lengths[0] / lengths[1]
    # Also where something is not finite: it then reaches the result, where it is seen.
    return math.acos(cosine) if abs(cosine) <= _PARALLEL else None


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the point at ``t`` of the way."""
    t = shared(coefficients["t"])
    first, second = sources.flat_models
    angle = angle_between(sources.prepared["gram"])
    if angle is None:
        weights = (1 - t, t)
    else:
        sine = math.sin(angle)
        weights = (math.sin((1 - t) * angle) / sine, math.sin(t * angle) / sine)
    parts = zip((first, second), weights, strict=True)
    return mix(Mixture(None, [Part(model, weight) for model, weight in parts if weight != 0]), out).finite


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``t``, shared: 0 is the first model, 1 the second."""
    return (
        Coefficient("t", 0.0, 1.0, 0.0, per_model=False, doc="position between the first model (0) and the second"),
    )


def starts(n_models: int, options: Options) -> Starts:
    """Both ends, and the middle, which is the uniform average of tensors of equal length up to a scale."""
    return {"uniform": {"t": 0.5}, "model:0": {"t": 0.0}, "model:1": {"t": 1.0}}


def mergekit(options: Options) -> Mapping[str, Any]:
    """Mergekit's ``slerp``, whose ``base_model`` is the first model."""
    return {}


METHOD = MergeMethod(
    name="slerp",
    summary="spherical interpolation between two models",
    paper="rule of mergekit's slerp, https://github.com/arcee-ai/mergekit",
    merge=merge,
    coefficients=coefficients,
    base="none",
    models=(2, 2),
    prepare=prepare,
    prepared_bytes=lambda shape, n_models, options: 4 * 8,
    starts=starts,
    exact_starts="models",
    symmetric=False,
    mergekit=mergekit,
    mergekit_parameters=MergekitParameters(untouched=lambda n_models, has_base: {"t": 0.0}),
    agrees_with="mergekit 0.1.5",
)
