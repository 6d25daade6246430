"""Karcher mean: the direction of least squared angles to all models, times their mean length.

The unit vectors' mean on the sphere is found by steps in its tangent space (Karcher 1977), from their weighted average
on. mergekit's ``karcher`` is the same with equal weights; a ``base_model`` is one of the models there. All steps happen
within the span of the models: inner products are prepared, from which a candidate is worked out, and it costs one pass.
A base is not looked at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from evomerge.kernels import Finite
from evomerge.methods._shared.coefficients import model_starts, per_model, proportions, weight
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Coefficients, Options, TensorContext, TensorSources
from evomerge.methods._shared.mergekit import MergekitParameters
from evomerge.methods._shared.vectors import add_up, grams_bytes, prepare_grams
from evomerge.options import Option
from evomerge.recipe import Coefficient

MAX_ITER = Option(10, None, int, "most steps towards the mean", low=0)
TOL = Option(
    1e-5, None, float, "step below which the mean is found, angle below which a model is the mean, and length below "
    "which a tensor has no direction", low=0.0,
)  # fmt: skip
# Sine below which a vector opposes the mean: then no direction to it is nearer than others.
_LEAST_SINE = 1e-6


def prepare(
    context: TensorContext, base: torch.Tensor | None, models: Sequence[torch.Tensor], options: Options
) -> Mapping[str, torch.Tensor]:
    """Inner products of the models."""
    return prepare_grams(context, None, models, options)


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the mean."""
    weights = proportions("karcher", context.name, per_model(coefficients["weight"]))
    factors = factors_of(sources.prepared["grams"][0], weights, sources.options)
    return add_up(None, sources.flat_models, factors[None], "tensor", out)


def factors_of(gram: torch.Tensor, weights: tuple[float, ...], options: Options) -> torch.Tensor:
    """The factor of each model; its weight where none has a direction."""
    given, lengths = torch.tensor(weights, dtype=torch.float64), gram.diagonal().sqrt()
    taken = ((lengths > options["tol"]) & (given != 0)).nonzero().view(-1)
    if not len(taken) or not gram.isfinite().all():
        return given
    own = lengths[taken]
    shares = given[taken] / given[taken].sum()
    mean = karcher_mean(gram[taken][:, taken] / own[:, None] / own, shares, options)
    return torch.zeros_like(given).index_copy_(0, taken, mean / own * (given @ lengths))


def karcher_mean(cosines: torch.Tensor, shares: torch.Tensor, options: Options) -> torch.Tensor:
    """Karcher mean of unit vectors, as factors of these.

    Args:
        cosines: Their inner products, ``(n, n)``.
        shares: Their weights, summing to one.
        options: ``max_iter`` and ``tol``.
    """
    tol = options["tol"]
    length = _length(shares, cosines)
    mean = shares / length if length >= tol and length > 0 else torch.eye(len(shares), dtype=torch.float64)[0]
    for _ in range(options["max_iter"]):
        along = (cosines @ mean).clamp(-1, 1)
        angles = along.acos()
        sines = angles.sin()
        opposite = (sines < _LEAST_SINE) & (along < 0)
        steps = torch.where((angles < tol) | (angles == 0) | opposite, 0.0, shares * angles / sines)
        tangent = steps - (steps @ along) * mean
        size = _length(tangent, cosines)
        if size < tol or size == 0:
            break
        mean = math.cos(size) * mean + math.sin(size) / size * tangent
        mean = mean / _length(mean, cosines)
    return mean


def _length(factors: torch.Tensor, gram: torch.Tensor) -> float:
    return math.sqrt(max(0.0, float(factors @ gram @ factors)))


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight``: proportions."""
    return (weight(simplex=True),)


def mergekit(options: Options) -> Mapping[str, Any]:
    """Mergekit's ``karcher``."""
    return {"max_iter": options["max_iter"], "tol": options["tol"]}


METHOD = MergeMethod(
    name="karcher",
    summary="mean direction on the sphere times mean length",
    paper="Karcher 1977, Riemannian center of mass, https://doi.org/10.1002/cpa.3160300502; rule of mergekit's karcher",
    merge=merge,
    coefficients=coefficients,
    options={"max_iter": MAX_ITER, "tol": TOL},
    base="optional",
    models=(2, None),
    prepare=prepare,
    prepared_bytes=grams_bytes,
    starts=model_starts,
    exact_starts="models",
    mergekit=mergekit,
    mergekit_parameters=MergekitParameters(
        defaults={"max_iter": MAX_ITER.default, "tol": TOL.default}, read=dict, lacks=("weight",)
    ),
    agrees_with="mergekit 0.1.5",
)
