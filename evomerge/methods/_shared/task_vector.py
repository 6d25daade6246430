"""The merge of all methods on deltas: sparsify, rescale, elect signs, mix, add to the base.

A delta is a model minus the base (the literature's task vector). A method on deltas adds its sparsity mask; the rest
are options that all of them share, see :mod:`evomerge.methods._shared.options`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from evomerge.kernels import BernoulliMask, Delta, Finite, Mask, Mixture, Part, absolute_sum, mix
from evomerge.kernels import net_sign as elected_signs
from evomerge.methods._shared.coefficients import per_model, shared
from evomerge.methods._shared.inputs import Coefficients, Merge, TensorContext, TensorSources
from evomerge.methods._shared.options import TIE_SIGNS

Sparsify = Callable[[TensorContext, TensorSources, Coefficients, Sequence[int]], Sequence[Mask | None]]
"""Masks of the deltas of some models under given coefficients; None keeps all of a delta."""


def delta_of(sources: TensorSources, model: int) -> Delta:
    """The delta of one model."""
    return Delta(sources.flat_base, sources.flat_models[model])


def each(mask_of: Callable[[TensorContext, TensorSources, Coefficients, int], Mask | None]) -> Sparsify:
    """Masks of several deltas, from a function that masks one."""

    def sparsify(
        context: TensorContext, sources: TensorSources, coefficients: Coefficients, models: Sequence[int]
    ) -> list[Mask | None]:
        return [mask_of(context, sources, coefficients, model) for model in models]

    return sparsify


def merging(sparsify: Sparsify | None = None) -> Merge:
    """The ``merge`` of a method on deltas, from its sparsity masks (None keeps everything)."""

    def merge(
        context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
    ) -> Finite | None:
        """Writes the base plus lambda times the mixed deltas. Where nothing is added the base stays bit by bit."""
        if out.numel() == 0:
            return True
        return mix_into(out, mixture(context, sources, coefficients, sparsify), sources, coefficients)

    return merge


def mix_into(out: torch.Tensor, mixing: Mixture, sources: TensorSources, coefficients: Coefficients) -> Finite | None:
    """Computes a mixture; where votes cancel and the majority is to decide, counts it only if there are any."""
    seen = mix(mixing, out)
    if seen.tied:
        counted = elected_signs(mixing) if sources.survey is None else sources.survey.net_sign(coefficients)
        if counted or sources.options["tie"] == "majority_or_minus":
            seen = mix(replace(mixing, tie=1.0 if counted > 0 else -1.0), out)
    return seen.finite


def net_sign(context: TensorContext, sources: TensorSources, coefficients: Coefficients, sparsify: Sparsify) -> int:
    """The sum of the signs elected over one tensor: positive if most elements vote plus."""
    assert sources.base is not None
    return elected_signs(mixture(context, sources, coefficients, sparsify)) if sources.base.numel() else 0


def mixture(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, sparsify: Sparsify | None
) -> Mixture:
    """The mixture that options and coefficients make of one tensor; models of weight zero take no part."""
    options, elects = sources.options, "votes" in sources.options
    weights = per_model(coefficients["weight"])
    voters = [model for model, weight in enumerate(weights) if weight != 0]
    normalise = options["normalise"]
    scale = (sum(weights) or 1.0) if normalise == "weight" and not elects else 1.0
    parts = []
    masks = [None] * len(voters) if sparsify is None else sparsify(context, sources, coefficients, voters)
    for model, mask in zip(voters, masks, strict=True):
        parts.append(
            Part(
                sources.flat_models[model],
                weight=weights[model] / scale,
                vote=weights[model] if options.get("votes") == "weighted" else 1.0,
                share=weights[model] if normalise == "weight" else 1.0,
                mask=mask,
                factor=1.0 if mask is None else _factor(sources, coefficients, model, mask),
            )
        )
    return Mixture(
        sources.flat_base,
        parts,
        scale=shared(coefficients["lambda"]),
        elect=elects,
        tie=TIE_SIGNS[options.get("tie", "positive")],
        divide=elects and normalise != "none",
    )


def _factor(sources: TensorSources, coefficients: Coefficients, model: int, mask: Mask) -> float:
    """Rescaling of the kept elements of a delta."""
    rescale = sources.options["rescale"]
    if rescale == "inverse":
        return 1.0 / per_model(coefficients["density"])[model]
    if rescale == "l1":
        delta = delta_of(sources, model)
        if isinstance(mask, BernoulliMask):
            mask = replace(mask, window=None)  # what is dropped is made up for, what is trimmed is not
        after = absolute_sum(delta, mask)
        return absolute_sum(delta) / after if after > 0 else 1.0
    return 1.0
