"""PCB-Merging: balance elements by how much they compete within a delta and between deltas.

A delta's element is scored by its size within the delta, ``exp(n * size**2)`` of the clamped magnitude scaled to [0,
1], times its agreement with the others, ``tanh`` of its product with the sum of all deltas at that place. Elements
below the quantile 1 - ratio of the scores get scale 0, the others a scale in [0, 1], and the clamped deltas are
averaged with these scales.

==========  ==============================================================
option      Du et al. 2024 and their code
==========  ==============================================================
scope       global (the whole model flattened)
clamp       1e-4 (short script), 0.01 (vision code)
==========  ==============================================================

mergekit has no such method. The defaults are the paper's but for ``scope``: each tensor by itself. The paper's ratio is
0.05 to 0.2, its weights are 1.2 for all. An element whose score is negative, because it opposes the sum, has scale 0
whatever the ratio. Where a delta has more different magnitudes or scores than a histogram has bins, a quantile is
rounded down to a neighbour that differs in the lower bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from evomerge.kernels import (
    Delta,
    Finite,
    Histogram,
    PcbScore,
    PcbTerm,
    Range,
    flat,
    histogram_bytes,
    histogram_of,
    pcb_merge,
)
from evomerge.methods._shared.coefficients import delta_starts, per_model, scale, shared, weight
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import (
    Coefficients,
    Options,
    Starts,
    TensorContext,
    TensorSet,
    TensorSources,
    by_model,
)
from evomerge.methods._shared.options import SCOPE
from evomerge.options import Option
from evomerge.recipe import Coefficient

CLAMP = Option(
    1e-4, None, float, "fraction of each delta's elements, at both ends, whose magnitude is clamped", low=0.0, high=0.5
)
RATIO = Coefficient(
    "ratio",
    0.02,
    1.0,
    1.0,
    per_model=False,
    minimum=0.0,
    maximum=1.0,
    doc="fraction of each delta's elements, those of highest score, that take part",
)


@dataclass(frozen=True)
class Survey:
    """Limits of magnitudes and histogram of scores of each model over all tensors, with ``scope: global``."""

    limits: Sequence[Range]
    scores: Sequence[Histogram]


def limits_of(magnitudes: Histogram, fraction: float) -> Range:
    """The magnitudes at a fraction of the elements from both ends."""
    beyond = min(int(fraction * magnitudes.count), (magnitudes.count - 1) // 2)
    return magnitudes.range_of(magnitudes.count - beyond)[0], magnitudes.range_of(beyond + 1)[0]


def scores_of(sources: TensorSources, limits: Sequence[Range]) -> list[PcbScore]:
    """The scores of all deltas of one tensor."""
    base, models = sources.flat_base, sources.flat_models
    return [PcbScore(base, models, model, limits[model]) for model in range(len(models))]


def prepare(
    context: TensorContext, base: torch.Tensor, models: Sequence[torch.Tensor], options: Options
) -> Mapping[str, torch.Tensor]:
    """Limits of magnitudes and histograms of scores; where limits span tensors, histograms of magnitudes."""
    found = [histogram_of(Delta(flat(base), flat(model))) for model in models]
    if options["scope"] == "global":
        return joined(found, "magnitudes")
    if base.numel() == 0:
        return {}
    limits = [limits_of(histogram, options["clamp"]) for histogram in found]
    scores = [histogram_of(score) for score in scores_of(TensorSources(base, models, options), limits)]
    # Magnitudes are float32, so these are exact.
    return {"limits": torch.tensor(limits, dtype=torch.float32), **joined(scores, "scores")}


def prepared_bytes(shape: Sequence[int], n_models: int, options: Options) -> int:
    """12 bytes per bin and model, see :func:`evomerge.kernels.max_bins`."""
    return n_models * (histogram_bytes(torch.Size(shape).numel()) + 8)


def joined(histograms: Sequence[Histogram], name: str) -> dict[str, torch.Tensor]:
    """Histograms of all models as plain tensors."""
    return {k: v for model, own in enumerate(histograms) for k, v in own.arrays(f"{name}.{model}").items()}


def loaded(sources: TensorSources, name: str) -> list[Histogram]:
    """The prepared histograms of all models."""
    return [Histogram.load(sources.prepared, f"{name}.{model}") for model in range(len(sources.models))]


def _limits(sources: TensorSources, name: str) -> list[Range]:
    return sources.prepared[name].tolist()


def survey(tensors: TensorSet, options: Options) -> Survey | None:
    """Limits of the whole model, and histograms of its scores from one pass over all tensors."""
    if options["scope"] == "tensor":
        return None
    whole = [Histogram.union(parts) for parts in by_model(loaded(sources, "magnitudes") for _, sources in tensors)]
    limits = [limits_of(histogram, options["clamp"]) if histogram.count else (0.0, 0.0) for histogram in whole]
    scores = [[histogram_of(score) for score in scores_of(sources, limits)] for _, sources in tensors]
    return Survey(limits, [Histogram.union(parts) for parts in by_model(scores)])


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the base plus lambda times the balanced deltas; models of weight zero only compete."""
    if out.numel() == 0:
        return True
    if sources.survey is not None:
        limits, histograms = sources.survey.limits, sources.survey.scores
    else:
        limits, histograms = sources.memoised(_limits, "limits"), sources.memoised(loaded, "scores")
    ratio, scores = shared(coefficients["ratio"]), scores_of(sources, limits)
    terms = [
        PcbTerm(scores[model], value, *span_of(histograms[model], ratio))
        for model, value in enumerate(per_model(coefficients["weight"]))
        if value != 0
    ]
    return pcb_merge(scores[0].base, terms, shared(coefficients["lambda"]), out)


def span_of(scores: Histogram, ratio: float) -> Range:
    """The score at the quantile, and the slope of the map from those above it to [0, 1]."""
    least = scores.range_of(max(1, int(ratio * scores.count)))[0]
    most = scores.range_of(1)[1]
    return least, 1 / (most - least) if most > least else 0.0


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight``, ``ratio`` and ``lambda``."""
    return (weight(simplex=False, high=2.0), RATIO, scale(searched=False))


def starts(n_models: int, options: Options) -> Starts:
    """See :func:`delta_starts`."""
    return delta_starts(n_models, {"normalise": "count"}, sparse=False, elects=True, further=(RATIO,))


METHOD = MergeMethod(
    name="pcb",
    summary="average of deltas balanced by how much their elements compete",
    paper="Du et al. 2024, Parameter competition balancing for model merging, https://arxiv.org/abs/2410.02396",
    merge=merge,
    coefficients=coefficients,
    options={"scope": SCOPE, "clamp": CLAMP},
    prepare=prepare,
    prepared_bytes=prepared_bytes,
    survey=survey,
    starts=starts,
    exact_starts="none",  # magnitudes are clamped, and what opposes the sum stays the base's
)
