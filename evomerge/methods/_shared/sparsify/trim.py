"""Trims small elements of deltas: what TIES keeps, of each tensor or of the whole model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evomerge.kernels import Window
from evomerge.methods._shared.coefficients import per_model
from evomerge.methods._shared.inputs import Coefficients, Options, TensorContext, TensorSet, TensorSources
from evomerge.methods._shared.options import KEPT, NORMALISE, RESCALE, ROUNDING, SCOPE, TIE, VOTES
from evomerge.methods._shared.sparsify.global_top_k import GlobalTopK
from evomerge.methods._shared.sparsify.net_sign import NetSign
from evomerge.methods._shared.sparsify.top_k import (
    TopK,
    chunks_of,
    prepared_histogram,
    threshold_rank,
    thresholds_of_tensor,
)
from evomerge.methods._shared.task_vector import delta_of
from evomerge.options import Option

TIES_OPTIONS: Mapping[str, Option] = {
    "scope": SCOPE,
    "kept": KEPT,
    "rounding": ROUNDING,
    "rescale": RESCALE,
    "votes": VOTES,
    "tie": TIE,
    "normalise": NORMALISE,
}
"""Options of TIES, as mergekit has it unless said otherwise."""


def trim(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, models: Sequence[int]
) -> list[Window | None]:
    """Masks that keep the largest elements of deltas, of this tensor or of the whole model.

    The method prepares histograms, has the options ``scope`` and ``kept``, and for ``scope: global`` a survey with
    ``top_k``, such as :class:`Survey`.
    """
    densities, rule = per_model(coefficients["density"]), sources.options["kept"]
    trimmed = [model for model in models if densities[model] < 1]
    if sources.options["scope"] == "global":
        thresholds = [sources.survey.top_k.threshold(context, sources, model, densities[model]) for model in trimmed]
    else:
        thresholds = thresholds_of_tensor([_largest(sources, model, densities[model]) for model in trimmed], rule)
    kept = dict(zip(trimmed, map(Window, thresholds), strict=True))
    return [kept.get(model) for model in models]


def _largest(sources: TensorSources, model: int, density: float) -> TopK:
    histogram = sources.memoised(prepared_histogram, str(model))
    k = threshold_rank(density, histogram.count, sources.options)
    return TopK(delta_of(sources, model), histogram, k, sources.memoised(chunks_of, str(model)))


@dataclass(frozen=True)
class Survey(NetSign):
    """Findings about all tensors together, with ``scope: global``.

    Attributes:
        top_k: Thresholds of whole models.
    """

    top_k: GlobalTopK


def survey(tensors: TensorSet, options: Options) -> Survey | None:
    """Adds up the histograms of the whole model, if one threshold is to hold for all of it."""
    if options["scope"] == "tensor":
        return None
    return Survey(tensors, trim, GlobalTopK(tensors, options))
