"""Barycentre of several models or, with a base, of their deltas on a sphere: direction and length averaged apart.

There is no paper; the rule is mergekit's and https://goddard.blog/posts/multislerp-wow-what-a-cool-idea. It projects
the unit vectors on the tangent space at their weighted mean, averages there and projects back. At that mean the
weighted tangents sum to zero, so what comes is the weighted mean of the unit vectors, scaled to the weighted mean
length.

==================  =======================
option              mergekit's parameter
==================  =======================
normalise: weight   normalize_weights: true
normalise: none     normalize_weights: false
eps                 eps
==================  =======================

Where the unit vectors cancel there is no direction; the weighted sum of the vectors themselves stands in for it, as in
mergekit for two models (it refuses more, and so every tensor that none of three experts has changed). Weights that are
to be normalised may be negative, but not sum to zero.

Prepared are inner products of the vectors, 8 bytes for each pair of models and tensor; a candidate costs one pass over
base and models.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from evomerge.kernels import Finite
from evomerge.methods._shared.coefficients import model_starts, per_model, proportions, weight
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Coefficients, Options, TensorContext, TensorSources
from evomerge.methods._shared.mergekit import MergekitParameters, first_alone
from evomerge.methods._shared.options import NORMALISE
from evomerge.methods._shared.vectors import add_up, grams_bytes, prepare_grams
from evomerge.options import Option
from evomerge.recipe import Coefficient

EPS = Option(1e-8, None, float, "added to lengths, and the length below which unit vectors cancel", low=0.0)


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the barycentre, or the base plus that of the deltas."""
    weights, base = per_model(coefficients["weight"]), None if sources.base is None else sources.flat_base
    if sources.options["normalise"] == "weight" and (base is None or any(weights)):
        weights = proportions("multislerp", context.name, weights)
    factors = factors_of(sources.prepared["grams"][0], weights, sources.options["eps"])
    return add_up(base, sources.flat_models, factors[None], "tensor", out)


def factors_of(gram: torch.Tensor, weights: tuple[float, ...], eps: float) -> torch.Tensor:
    """The factor of each vector, from their inner products."""
    given = torch.tensor(weights, dtype=torch.float64)
    lengths = gram.diagonal().sqrt()
    shares = torch.where(given == 0, 0.0, given / (lengths + eps))
    length = (shares @ gram @ shares).clamp(min=0).sqrt()
    if length < eps or length == 0:
        return given
    return shares / length * (given @ lengths) * math.cos(eps)


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight``: proportions when normalised, else free."""
    return (weight(simplex=options["normalise"] == "weight", signed=True),)


def mergekit(options: Options) -> Mapping[str, Any]:
    """Mergekit's ``multislerp``; with the recipe's base, if it has one."""
    return {"normalize_weights": options["normalise"] == "weight", "eps": options["eps"]}


def read(parameters: Mapping[str, Any]) -> Options:
    """The options from mergekit's parameters."""
    return {"normalise": "weight" if parameters["normalize_weights"] else "none", "eps": parameters["eps"]}


METHOD = MergeMethod(
    name="multislerp",
    summary="mean direction times mean length of several models or, with a base, of their deltas",
    paper="rule of mergekit's multislerp, https://goddard.blog/posts/multislerp-wow-what-a-cool-idea",
    merge=merge,
    coefficients=coefficients,
    options={"normalise": NORMALISE.choosing("weight", among=("weight", "none")), "eps": EPS},
    base="either",
    models=(2, None),
    prepare=prepare_grams,
    prepared_bytes=grams_bytes,
    starts=model_starts,
    exact_starts="models",
    mergekit=mergekit,
    mergekit_parameters=MergekitParameters(
        defaults={"normalize_weights": True, "eps": 1e-8}, read=read, untouched=first_alone
    ),
    agrees_with="mergekit 0.1.5",
)
