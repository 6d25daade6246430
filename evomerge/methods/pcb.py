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
whatever the ratio. Where a delta has more different magnitudes or scores than a histogram tells apart, a quantile is
rounded down to a neighbour that differs in the lower bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from evomerge.kernels import Delta, Histogram, fill, flat, histogram_bytes
from evomerge.kernels.elementary import exp, tanh
from evomerge.methods._declaration import (
    Coefficients,
    MergeMethod,
    Option,
    Options,
    Sources,
    Starts,
    TensorContext,
    TensorSet,
)
from evomerge.methods._vocabulary import SCOPE, delta_starts, per_model, scale, shared, weight
from evomerge.recipe import Coefficient

CLAMP = Option(1e-4, None, float, "fraction of each delta's elements, at both ends, whose magnitude is clamped")
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
_LEAST = 1e-12
Range = tuple[float, float]


@dataclass(frozen=True)
class Score:
    """The scores of one delta's elements, negative ones as zero.

    Attributes:
        base: The base's tensor, flat.
        models: All models', flat.
        model: Whose delta it is.
        limits: What its magnitudes are clamped to.
    """

    base: torch.Tensor
    models: Sequence[torch.Tensor]
    model: int
    limits: Range

    def block(self, span: slice) -> torch.Tensor:
        """One block in float32, as new memory."""
        deltas = [Delta(self.base, model).block(span) for model in self.models]
        return self.of(deltas, clamped(deltas[self.model], self.limits))

    def of(self, deltas: Sequence[torch.Tensor], own: torch.Tensor) -> torch.Tensor:
        """The same from all deltas and this one clamped."""
        low, high = self.limits
        size = (own.abs() - low) * (1 / (high - low) if high > low else 0.0)
        together = deltas[0].clone()
        for delta in deltas[1:]:
            together.add_(delta)
        return (exp(size * size * len(deltas)) * tanh(deltas[self.model] * together)).clamp_(min=0.0)


@dataclass(frozen=True)
class Survey:
    """What spans tensors with ``scope: global``: per model, the limits of magnitudes and the scores' histogram."""

    limits: Sequence[Range]
    scores: Sequence[Histogram]


def clamped(delta: torch.Tensor, limits: Range) -> torch.Tensor:
    """A delta with its magnitudes clamped. What is not finite becomes NaN, so that it is seen."""
    return delta.abs().clamp_(*limits).mul_(delta.sign()).add_(delta * 0.0)


def limits_of(magnitudes: Histogram, fraction: float) -> Range:
    """The magnitudes at a fraction of the elements from both ends."""
    beyond = min(int(fraction * magnitudes.count), (magnitudes.count - 1) // 2)
    return magnitudes.range_of(magnitudes.count - beyond)[0], magnitudes.range_of(beyond + 1)[0]


def scores_of(sources: Sources, limits: Sequence[Range]) -> list[Score]:
    """The scores of all deltas of one tensor."""
    assert sources.base is not None
    base, models = flat(sources.base), [flat(model) for model in sources.models]
    return [Score(base, models, model, limits[model]) for model in range(len(models))]


def prepare(
    context: TensorContext, base: torch.Tensor, models: Sequence[torch.Tensor], options: Options
) -> Mapping[str, torch.Tensor]:
    """Counts the magnitudes of deltas and, where limits do not span tensors, their scores."""
    found = [Histogram.of(Delta(flat(base), flat(model))) for model in models]
    arrays: dict[str, torch.Tensor] = {}
    for number, histogram in enumerate(found):
        arrays |= histogram.arrays(f"magnitudes.{number}")
    if options["scope"] == "tensor" and base.numel():
        limits = [limits_of(histogram, options["clamp"]) for histogram in found]
        for number, score in enumerate(scores_of(Sources(base, models, options), limits)):
            arrays |= Histogram.of(score).arrays(f"scores.{number}")
    return arrays


def loaded(sources: Sources, name: str) -> list[Histogram]:
    """The prepared histograms of all models."""
    return [Histogram.load(sources.prepared, f"{name}.{model}") for model in range(len(sources.models))]


def survey(tensors: TensorSet, options: Options) -> Survey | None:
    """Finds the limits of the whole model, and counts its scores in one pass over all tensors."""
    if options["scope"] == "tensor":
        return None
    magnitudes = [loaded(sources, "magnitudes") for _, sources in tensors]
    whole = [Histogram.union(parts) for parts in zip(*magnitudes, strict=True)]
    limits = [limits_of(histogram, options["clamp"]) if histogram.count else (0.0, 0.0) for histogram in whole]
    scores = [[Histogram.of(score) for score in scores_of(sources, limits)] for _, sources in tensors]
    return Survey(limits, [Histogram.union(parts) for parts in zip(*scores, strict=True)])


def merge(context: TensorContext, sources: Sources, coefficients: Coefficients, out: torch.Tensor) -> None:
    """Writes the base plus lambda times the balanced deltas; models of weight zero only compete."""
    if out.numel() == 0:
        return
    if sources.survey is not None:
        limits, histograms = sources.survey.limits, sources.survey.scores
    else:
        limits = [limits_of(histogram, sources.options["clamp"]) for histogram in loaded(sources, "magnitudes")]
        histograms = loaded(sources, "scores")
    ratio, negated = shared(coefficients["ratio"]), -shared(coefficients["lambda"])
    scores = scores_of(sources, limits)
    parts = [
        (scores[model], value, *span_of(histograms[model], ratio))
        for model, value in enumerate(per_model(coefficients["weight"]))
        if value != 0
    ]
    base = scores[0].base

    def compute(span: slice) -> torch.Tensor:
        deltas = [Delta(base, model).block(span) for model in scores[0].models]
        update, shares = torch.zeros_like(deltas[0]), torch.zeros_like(deltas[0])
        for score, value, least, stretch in parts:
            own = clamped(deltas[score.model], score.limits)
            share = (score.of(deltas, own) - least).clamp_(min=0.0).mul_(stretch)
            update.add_(own * share * value)
            shares.add_(share)
        update.div_(shares.clamp_(min=_LEAST)).mul_(negated).add_(0.0)
        return base[span].to(torch.float32) - update

    fill(out, compute)


def span_of(scores: Histogram, ratio: float) -> Range:
    """The score at the quantile, and what scales those above it to [0, 1]."""
    least = scores.range_of(max(1, int(ratio * scores.count)))[0]
    most = scores.range_of(1)[1]
    return least, 1 / (most - least) if most > least else 0.0


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight``, ``ratio`` and ``lambda``."""
    return (weight(simplex=False, high=2.0), RATIO, scale(searched=False))


def starts(n_models: int, options: Options) -> Starts:
    """See :func:`evomerge.methods._vocabulary.delta_starts`; all of them are near, since magnitudes are clamped."""
    return delta_starts(n_models, {"normalise": "count"}, sparse=False, elects=True, further=(RATIO,))


METHOD = MergeMethod(
    name="pcb",
    summary="average of deltas balanced by how much their elements compete",
    paper="Du et al. 2024, Parameter competition balancing for model merging, https://arxiv.org/abs/2410.02396",
    merge=merge,
    coefficients=coefficients,
    options={"scope": SCOPE, "clamp": CLAMP},
    prepare=prepare,
    prepared_bytes=lambda shape, n_models, options: 2 * n_models * histogram_bytes(torch.Size(shape).numel()),
    survey=survey,
    starts=starts,
)
