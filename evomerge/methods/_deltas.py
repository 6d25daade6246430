"""The product behind all methods on deltas: keep some elements, rescale them, elect signs, mix, add to the base.

A delta is a model minus the base (the literature's task vector). What a method adds to the product is how deltas are
thinned out; the rest are options that all of them share, see :mod:`evomerge.methods._vocabulary`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from evomerge.kernels import Delta, Keep, Mixture, Part, absolute_sum, mix
from evomerge.kernels import net_sign as elected_signs
from evomerge.methods._declaration import Coefficients, Merge, Sources, TensorContext
from evomerge.methods._vocabulary import TIES, per_model, shared

Thin = Callable[[TensorContext, Sources, Coefficients, Sequence[int]], Sequence[Keep | None]]
"""What is kept of the deltas of some models under given coefficients; None is all of a delta."""


def delta_of(sources: Sources, model: int) -> Delta:
    """The delta of one model."""
    return Delta(sources.flat_base, sources.flat_models[model])


def each(of_one: Callable[[TensorContext, Sources, Coefficients, int], Keep | None]) -> Thin:
    """A way to thin deltas out, from one that looks at a single model."""

    def thin(
        context: TensorContext, sources: Sources, coefficients: Coefficients, models: Sequence[int]
    ) -> list[Keep | None]:
        return [of_one(context, sources, coefficients, model) for model in models]

    return thin


def merging(thin: Thin | None = None) -> Merge:
    """A method on deltas: its ``merge``, from the way it thins deltas out (None keeps all of them)."""

    def merge(context: TensorContext, sources: Sources, coefficients: Coefficients, out: torch.Tensor) -> bool | None:
        """Writes the base plus lambda times the mixed deltas. Where nothing is added the base stays bit by bit."""
        if out.numel() == 0:
            return True
        return mix_into(out, mixture(context, sources, coefficients, thin), sources, coefficients)

    return merge


def mix_into(out: torch.Tensor, mixing: Mixture, sources: Sources, coefficients: Coefficients) -> bool | None:
    """Computes a mixture; where votes cancel and the majority is to decide, counts it only if there are any."""
    seen = mix(mixing, out)
    if seen.tied:
        counted = elected_signs(mixing) if sources.survey is None else sources.survey.net_sign(coefficients)
        if counted:
            seen = mix(replace(mixing, tie=1.0 if counted > 0 else -1.0), out)
    return seen.finite


def net_sign(context: TensorContext, sources: Sources, coefficients: Coefficients, thin: Thin) -> int:
    """The sum of the signs elected over one tensor: positive if most elements vote plus."""
    assert sources.base is not None
    return elected_signs(mixture(context, sources, coefficients, thin)) if sources.base.numel() else 0


def mixture(context: TensorContext, sources: Sources, coefficients: Coefficients, thin: Thin | None) -> Mixture:
    """What the options and coefficients make of one tensor; models of weight zero take no part."""
    options, elects = sources.options, "votes" in sources.options
    weights = per_model(coefficients["weight"])
    voters = [model for model, weight in enumerate(weights) if weight != 0]
    normalise = options["normalise"]
    scale = (sum(weights) or 1.0) if normalise == "weight" and not elects else 1.0
    parts = []
    kept = [None] * len(voters) if thin is None else thin(context, sources, coefficients, voters)
    for model, keep in zip(voters, kept, strict=True):
        parts.append(
            Part(
                sources.flat_models[model],
                weight=weights[model] / scale,
                vote=weights[model] if options.get("votes") == "weighted" else 1.0,
                share=weights[model] if normalise == "weight" else 1.0,
                keep=keep,
                factor=1.0 if keep is None else _factor(sources, coefficients, model, keep),
            )
        )
    return Mixture(
        sources.flat_base,
        parts,
        scale=shared(coefficients["lambda"]),
        elect=elects,
        tie=TIES[options.get("tie", "positive")],
        divide=elects and normalise != "none",
    )


def _factor(sources: Sources, coefficients: Coefficients, model: int, keep: Keep) -> float:
    """What the kept elements of a delta are multiplied by."""
    rescale = sources.options["rescale"]
    if rescale == "inverse":
        return 1.0 / per_model(coefficients["density"])[model]
    if rescale == "l1":
        delta = delta_of(sources, model)
        after = absolute_sum(delta, keep)
        return absolute_sum(delta) / after if after > 0 else 1.0
    return 1.0
