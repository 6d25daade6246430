"""PCB-Merging: balance elements by how much they compete within a delta and between deltas.

A delta's element is scored by its size within the delta, ``exp(n * size**2)`` of the clamped magnitude scaled to [0,
1], times its agreement with the others, ``tanh`` of its product with the sum of all deltas at that place. Elements
below the quantile 1 - ratio of the scores get scale 0, the others a scale in [0, 1], and the clamped deltas are
averaged with these scales.

The code of Du et al. 2024 has four forms: a short script, that for language models, and two for vision models, with
weights that are given and weights that are searched.

==========  ============  ========  =============  ================  =======
option      short script  language  vision, given  vision, searched  default
==========  ============  ========  =============  ================  =======
scope       global        global    global         global            tensor
clamp       1e-4          0.01      0.01           0.01              1e-4
agreement   product       product   scaled         pairs             product
quantile    exact         exact     exact          exact             bins
==========  ============  ========  =============  ================  =======

mergekit has no such method. The paper's ratio is 0.05 to 0.2, its weights are 1.2 for all, or searched between 0.8 and
1.3 (between 0.5 and 3 for language). An element whose score is negative, because it opposes the sum, has scale 0
whatever the ratio.

Fractions of the elements are whole numbers of them rounded down, and where a delta has more different magnitudes or
scores than a histogram has bins, a quantile is rounded down to a neighbour that differs in the lower bits. With
``quantile: exact`` they are the published code's to the element, at a pass over all scores for every new ratio.
Agreements other than ``product`` are computed by torch alone, several times slower than the others.

Prepared are limits of magnitudes and histograms of scores, 12 bytes for each bin and model; a candidate costs one pass
over base and models, and where a ratio is new and its quantile exact, one more.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

from evomerge.kernels import (
    Delta,
    Finite,
    Histogram,
    PcbScore,
    PcbTerm,
    Range,
    Values,
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
from evomerge.methods._shared.sparsify.ordered import Ordered
from evomerge.methods._shared.task_vector import delta_of
from evomerge.options import Option
from evomerge.recipe import Coefficient

CLAMP = Option(
    1e-4, None, float, "fraction of each delta's elements, at both ends, whose magnitude is clamped", low=0.0, high=0.5
)
AGREEMENT = Option(
    "product",
    ("product", "scaled", "pairs"),
    str,
    "agreement of an element with the others: tanh of its product with the sum of deltas (product) or of their signed"
    " sizes (scaled), or the sum of tanh of the products of signed sizes (pairs)",
    later=True,
)
QUANTILE = Option(
    "bins",
    ("bins", "exact"),
    str,
    "whether quantiles are rounded down to elements and bins of a histogram, or exactly those of the published code",
    later=True,
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
class Findings:
    """Findings about one tensor, or with ``scope: global`` about all of them.

    Attributes:
        limits: Limits of each model's magnitudes.
        order: The order in which models are summed.
        scores: Scores of each model.
    """

    limits: Sequence[Range]
    order: Sequence[int]
    scores: Sequence[Ordered]


def limits_of(magnitudes: Ordered, fraction: float) -> Range:
    """The magnitudes at a fraction of the elements from both ends."""
    count = magnitudes.count
    if magnitudes.values is None:
        beyond = min(int(fraction * count), (count - 1) // 2)
        return magnitudes.histogram.range_of(count - beyond)[0], magnitudes.histogram.range_of(beyond + 1)[0]
    lowest = count - int(count * fraction)
    highest = count - int(count * (1 - fraction) - 1)
    return magnitudes.largest(lowest), magnitudes.largest(min(highest, lowest))


def order_of(magnitudes: Sequence[Histogram], options: Options) -> list[int]:
    """The order in which models are summed: where quantiles are exact, one that follows from their deltas alone.

    Which one of nearly equal scores is at the quantile would else follow from the order of the models.
    """
    order = list(range(len(magnitudes)))
    if options["quantile"] == "exact":
        sizes = [int((own.bin_keys.long() << own.shift) @ own.counts) for own in magnitudes]
        order.sort(key=sizes.__getitem__)
    return order


def scores_of(sources: TensorSources, limits: Sequence[Range], order: Sequence[int]) -> list[PcbScore]:
    """The scores of all deltas of one tensor, summed in an order."""
    base, models, agreement = sources.flat_base, sources.flat_models, sources.options["agreement"]
    inputs, ranges = [models[model] for model in order], [limits[model] for model in order]
    return [
        PcbScore(base, inputs, order.index(model), limits[model], agreement, ranges) for model in range(len(models))
    ]


def _ordered(options: Options, histogram: Histogram, *values: Values) -> Ordered:
    return Ordered(histogram, (lambda: values) if options["quantile"] == "exact" else None)


def prepare(
    context: TensorContext, base: torch.Tensor, models: Sequence[torch.Tensor], options: Options
) -> Mapping[str, torch.Tensor]:
    """Limits of magnitudes and histograms of scores; where limits span tensors, histograms of magnitudes."""
    deltas = [Delta(flat(base), flat(model)) for model in models]
    found = [histogram_of(delta) for delta in deltas]
    if options["scope"] == "global":
        return joined(found, "magnitudes")
    if base.numel() == 0:
        return {}
    limits = [
        limits_of(_ordered(options, histogram, delta), options["clamp"])
        for histogram, delta in zip(found, deltas, strict=True)
    ]
    order = order_of(found, options)
    scores = [histogram_of(score) for score in scores_of(TensorSources(base, models, options), limits, order)]
    # Magnitudes are float32, so these are exact.
    arrays = {"limits": torch.tensor(limits, dtype=torch.float32), **joined(scores, "scores")}
    return arrays | ({"order": torch.tensor(order)} if options["quantile"] == "exact" else {})


def prepared_bytes(shape: Sequence[int], n_models: int, options: Options) -> int:
    """12 bytes per bin and model and 24 more, see :func:`evomerge.kernels.max_bins`."""
    return n_models * (histogram_bytes(torch.Size(shape).numel()) + 16)


def joined(histograms: Sequence[Histogram], name: str) -> dict[str, torch.Tensor]:
    """Histograms of all models as plain tensors."""
    return {k: v for model, own in enumerate(histograms) for k, v in own.arrays(f"{name}.{model}").items()}


def loaded(sources: TensorSources, name: str) -> list[Histogram]:
    """The prepared histograms of all models."""
    return [Histogram.load(sources.prepared, f"{name}.{model}") for model in range(len(sources.models))]


def _limits(sources: TensorSources, name: str) -> list[Range]:
    return [(low, high) for low, high in sources.prepared[name].tolist()]


def _findings(sources: TensorSources, name: str) -> Findings:
    """Findings from what has been prepared for one tensor."""
    limits, order = _limits(sources, "limits"), _order(sources)
    pairs = zip(loaded(sources, name), scores_of(sources, limits, order), strict=True)
    return Findings(limits, order, [_ordered(sources.options, histogram, score) for histogram, score in pairs])


def _order(sources: TensorSources) -> list[int]:
    return sources.prepared["order"].tolist() if "order" in sources.prepared else list(range(len(sources.models)))


def survey(tensors: TensorSet, options: Options) -> Findings | None:
    """Limits of the whole model, and histograms of its scores from one pass over all tensors."""
    if options["scope"] == "tensor":
        return None

    def deltas(model: int) -> Iterable[Values]:
        return (delta_of(sources, model) for _, sources in tensors)

    def scores(model: int) -> Iterable[Values]:
        return (scores_of(sources, limits, order)[model] for _, sources in tensors)

    exact = options["quantile"] == "exact"

    def ordered(parts: Iterable[Sequence[Histogram]], values: Callable[[int], Iterable[Values]]) -> list[Ordered]:
        whole = [Histogram.union(own) for own in by_model(parts)]
        return [Ordered(own, functools.partial(values, model) if exact else None) for model, own in enumerate(whole)]

    magnitudes = ordered((loaded(sources, "magnitudes") for _, sources in tensors), deltas)
    limits = [limits_of(own, options["clamp"]) if own.count else (0.0, 0.0) for own in magnitudes]
    order = order_of([own.histogram for own in magnitudes], options)
    found = ([histogram_of(score) for score in scores_of(sources, limits, order)] for _, sources in tensors)
    return Findings(limits, order, ordered(found, scores))


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the base plus lambda times the balanced deltas; models of weight zero only compete."""
    if out.numel() == 0:
        return True
    found = sources.memoised(_findings, "scores") if sources.survey is None else sources.survey
    ratio, scores = shared(coefficients["ratio"]), scores_of(sources, found.limits, found.order)
    terms = [
        PcbTerm(scores[model], value, *span_of(found.scores[model], ratio))
        for model, value in enumerate(per_model(coefficients["weight"]))
        if value != 0
    ]
    return pcb_merge(scores[0].base, terms, shared(coefficients["lambda"]), out)


def span_of(scores: Ordered, ratio: float) -> Range:
    """The score at the quantile, and the slope of the map from those above it to [0, 1]."""
    if scores.values is None:
        least = scores.histogram.range_of(max(1, int(ratio * scores.count)))[0]
        most = scores.histogram.range_of(1)[1]
    else:
        least, most = scores.largest(max(1, scores.count - int(scores.count * (1 - ratio)))), scores.largest(1)
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
    options={"scope": SCOPE, "clamp": CLAMP, "agreement": AGREEMENT, "quantile": QUANTILE},
    prepare=prepare,
    prepared_bytes=prepared_bytes,
    survey=survey,
    starts=starts,
    exact_starts="none",  # magnitudes are clamped, and what opposes the sum stays the base's
    agrees_with="the authors' code",
)
