"""Weighted average of the models, without a base: model soups.

mergekit's ``linear`` is the same with the same ``normalise`` (theirs is called ``normalize``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from evomerge.errors import InputError
from evomerge.kernels import Finite, Mixture, Part, mix
from evomerge.methods._shared.coefficients import alone, per_model, weight
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Coefficients, Options, Starts, TensorContext, TensorSources
from evomerge.methods._shared.mergekit import MergekitParameters
from evomerge.methods._shared.options import NORMALISE
from evomerge.recipe import Coefficient


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the weighted sum of the models; a model of weight zero takes no part."""
    weights = per_model(coefficients["weight"])
    if sources.options["normalise"] == "weight":
        divisor = math.fsum(weights)
        if divisor == 0:
            raise InputError(f"linear: the weights of tensor {context.name!r} sum to zero, so they have no average")
        weights = tuple(value / divisor for value in weights)
    parts = [Part(model, weight) for model, weight in zip(sources.flat_models, weights, strict=True) if weight != 0]
    if parts:
        return mix(Mixture(None, parts), out).finite
    out.detach().zero_()
    return True


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """One weight per model: proportions when normalised, else free."""
    return (weight(simplex=options["normalise"] == "weight"),)


def starts(n_models: int, options: Options) -> Starts:
    """The uniform average and every model alone."""
    return {"uniform": {"weight": (1 / n_models,) * n_models}} | {
        f"model:{i}": {"weight": alone(i, n_models)} for i in range(n_models)
    }


def mergekit(options: Options) -> Mapping[str, Any]:
    """Mergekit's ``linear``."""
    return {"normalize": options["normalise"] == "weight"}


METHOD = MergeMethod(
    name="linear",
    summary="weighted average of the models",
    paper="Wortsman et al. 2022, Model soups, https://arxiv.org/abs/2203.05482",
    merge=merge,
    coefficients=coefficients,
    options={"normalise": NORMALISE.choosing("weight", among=("weight", "none"))},
    base="optional",
    starts=starts,
    mergekit=mergekit,
    mergekit_parameters=MergekitParameters(
        {"normalize": True},
        lambda parameters: {"normalise": "weight" if parameters["normalize"] else "none"},
        untouched=lambda n_models, has_base: {"weight": alone(0, n_models)},
    ),
)
