"""Weighted sums of deltas whose weights follow from the sizes of the deltas: their mean squares or mean magnitudes.

A model's share is its ``weight`` times the mean size of its delta to the power of ``sharpness``, over the sum of these
for all models: 0 leaves the weights as they are, 1 is what is published. The sizes are prepared, 8 bytes for each model
and tensor; a candidate is a weighted sum.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch

from evomerge.kernels import Delta, Finite, Mixture, Part, Variance, absolute_sum, flat, mix, square_sums
from evomerge.methods._shared.coefficients import delta_starts, per_model, scale, shared, weight
from evomerge.methods._shared.inputs import (
    Coefficients,
    Options,
    Starts,
    TensorContext,
    TensorSet,
    TensorSources,
    by_model,
)
from evomerge.options import Option
from evomerge.recipe import Coefficient

SIZE = Option("square", ("square", "absolute"), str, "size of a delta: its mean square, or its mean magnitude")
SHARES = Option(
    "proportional",
    ("proportional", "softmax"),
    str,
    "shares follow the sizes to the power of sharpness, or the exponential function of sharpness times the sizes",
)
SHARPNESS = Coefficient(
    "sharpness",
    0.0,
    4.0,
    1.0,
    per_model=False,
    doc="how much more a larger delta counts: not at all (0), as published (1), or more",
)


def prepare_sizes(
    context: TensorContext, base: torch.Tensor, models: Sequence[torch.Tensor], options: Options
) -> Mapping[str, torch.Tensor]:
    """``sizes``: the sum over the elements of each delta, one number per model."""
    start, flats = flat(base), [flat(model) for model in models]
    if options["size"] == "square":
        sums = square_sums(Variance(start, flats))
    else:
        sums = [absolute_sum(Delta(start, model)) for model in flats]
    return {"sizes": torch.tensor(sums, dtype=torch.float64)}


def sizes_bytes(shape: Sequence[int], n_models: int, options: Options) -> int:
    """8 bytes for each model."""
    return 8 * n_models


def survey_sizes(tensors: TensorSet, options: Options) -> list[float] | None:
    """Mean sizes over the whole model, with ``scope: global``."""
    if options["scope"] != "global":
        return None
    found = [(sources.prepared["sizes"].tolist(), sources.flat_base.numel()) for _, sources in tensors]
    count = sum(numel for _, numel in found)
    return [math.fsum(sums) / max(1, count) for sums in by_model(sizes for sizes, _ in found)]


def merge_by_size(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the base plus lambda times the average of the deltas by their shares."""
    sizes = sources.survey
    if sizes is None:
        numel = max(1, out.numel())
        sizes = [total / numel for total in sources.prepared["sizes"].tolist()]
    parts = [
        Part(sources.flat_models[model], share)
        for model, share in shares(
            sizes, per_model(coefficients["weight"]), shared(coefficients["sharpness"]), sources.options
        ).items()
    ]
    return mix(Mixture(sources.flat_base, parts, scale=shared(coefficients["lambda"])), out).finite


def shares(sizes: Sequence[float], weights: Sequence[float], sharpness: float, options: Options) -> dict[int, float]:
    """Shares of one of the models whose weight is not zero.

    Args:
        sizes: Mean size of each delta.
        weights: Weight of each model.
        sharpness: The coefficient.
        options: ``shares``; ``unchanged`` where the method has it: ``even`` gives all models the same size where the
            delta of one is zero.
    """
    own = {model: sizes[model] for model, value in enumerate(weights) if value != 0}
    if not own:
        return {}
    if options.get("unchanged") == "even" and not all(own.values()):
        own = dict.fromkeys(own, 1.0)
    if options["shares"] == "softmax":
        scores = {model: sharpness * size for model, size in own.items()}
    else:
        scores = {model: sharpness * math.log(size) if size and sharpness else _nothing(size, sharpness)
                  for model, size in own.items()}  # fmt: skip
    top = max(scores.values())
    raw = {m: weights[m] * (1.0 if top == -math.inf else math.exp(score - top)) for m, score in scores.items()}
    total = math.fsum(raw.values())
    return {model: value / total for model, value in raw.items() if value != 0}


def _nothing(size: float, sharpness: float) -> float:
    """The score of a delta of size zero, which has no share unless all are alike."""
    return 0.0 if sharpness == 0 else -math.inf


def size_coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight``, proportions, ``sharpness`` and ``lambda``."""
    return (weight(simplex=True), SHARPNESS, scale(searched=True))


def size_starts(n_models: int, options: Options) -> Starts:
    """All at sharpness 0, see :func:`delta_starts`; and the published method."""
    plain = delta_starts(n_models, {"normalise": "weight"}, sparse=False, elects=False)
    published: Coefficients = {"weight": (1 / n_models,) * n_models, "sharpness": 1.0, "lambda": 1.0}
    points: dict[str, Coefficients] = {name: {**values, "sharpness": 0.0} for name, values in plain.items()}
    return points | {"neutral": published}
