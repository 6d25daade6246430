"""Weighted average of the models, without a base: model soups.

mergekit's ``linear`` is the same with the same ``normalise`` (theirs is called ``normalize``).

Nothing is prepared; a candidate costs one pass over the models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from evomerge.kernels import Finite
from evomerge.methods._shared.averaging.averages import add_models
from evomerge.methods._shared.coefficients import model_starts, per_model, proportions, weight
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Coefficients, Options, TensorContext, TensorSources
from evomerge.methods._shared.mergekit import MergekitParameters, first_alone
from evomerge.methods._shared.options import NORMALISE
from evomerge.recipe import Coefficient


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the weighted sum of the models; a model of weight zero takes no part."""
    return add_models(sources, _weights(context.name, coefficients, sources.options), out)


def sums(name: str, coefficients: Coefficients, options: Options) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Nothing of the base, and of each model its weight."""
    return (), _weights(name, coefficients, options)


def _weights(name: str, coefficients: Coefficients, options: Options) -> tuple[float, ...]:
    weights = per_model(coefficients["weight"])
    return proportions("linear", name, weights) if options["normalise"] == "weight" else weights


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """One weight per model: proportions when normalised, else free."""
    return (weight(simplex=options["normalise"] == "weight"),)


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
    starts=model_starts,
    sums=sums,
    mergekit=mergekit,
    mergekit_parameters=MergekitParameters(
        {"normalize": True},
        lambda parameters: {"normalise": "weight" if parameters["normalize"] else "none"},
        untouched=first_alone,
    ),
    agrees_with="the authors' code, mergekit 0.1.5",
)
