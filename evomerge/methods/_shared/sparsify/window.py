"""Keeps elements of medium magnitude: neither the largest, which may be outliers, nor the smallest (breadcrumbs)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from evomerge.kernels import NOTHING, Mask, RankWindow, Window
from evomerge.methods._shared.coefficients import per_model
from evomerge.methods._shared.inputs import Coefficients, Options, TensorContext, TensorSources
from evomerge.methods._shared.options import ROUNDING
from evomerge.methods._shared.sparsify.ranks import prepare_ranks, ranks_bytes, ranks_of
from evomerge.methods._shared.sparsify.top_k import (
    TopK,
    chunks_of,
    histograms_bytes,
    prepare_histograms,
    prepared_histogram,
    share_of,
    thresholds_of_tensor,
)
from evomerge.methods._shared.task_vector import delta_of
from evomerge.options import Option
from evomerge.recipe import Coefficient

GAMMA = Coefficient(
    "gamma",
    0.0,
    0.1,
    0.0,
    minimum=0.0,
    maximum=1.0,
    doc="fraction of each delta's elements, the largest, that is left out",
)
ROW_SCOPE = Option(
    "row",
    ("row", "tensor"),
    str,
    "what density and gamma are fractions of: every row of a tensor, its last dimension, or every tensor by itself",
)
YIELDS = Option(
    "density",
    ("density", "gamma"),
    str,
    "which of the two gives way where density and gamma together exceed 1",
)
SMALL = Option(
    "keep",
    ("keep", "zero"),
    str,
    "what becomes of deltas so small that gamma means less than one element: treated like others, or left out whole",
)
WINDOW_OPTIONS: Mapping[str, Option] = {
    "scope": ROW_SCOPE,
    "rounding": ROUNDING,
    "yields": YIELDS,
    "small": SMALL,
}


def prepare_window(
    context: TensorContext, base: torch.Tensor, models: Sequence[torch.Tensor], options: Options
) -> Mapping[str, torch.Tensor]:
    """Ranks within rows, or histograms, as the scope asks for."""
    return (prepare_ranks if options["scope"] == "row" else prepare_histograms)(context, base, models, options)


def window_bytes(shape: Sequence[int], n_models: int, options: Options) -> int:
    """2 bytes per element and model for rows; else the size of histograms."""
    return (ranks_bytes if options["scope"] == "row" else histograms_bytes)(shape, n_models, options)


def kept_ranks(density: float, gamma: float, count: int, options: Options) -> tuple[int, int]:
    """Number of the largest of ``count`` elements that are left out, and of the next that are kept; at least one is."""
    top, kept = int(gamma * count), share_of(density, count, options)
    if options["small"] == "zero" and min(top, count - kept) == 0 and density < 1:
        return 0, 0
    kept = max(kept, 1)
    if options["yields"] == "gamma":
        return min(top, count - kept), kept
    top = min(top, count - 1)
    return top, min(kept, count - top)


def medium(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, models: Sequence[int]
) -> list[Mask | None]:
    """Masks that leave out the largest elements of each delta and keep the next."""
    densities, gammas = per_model(coefficients["density"]), per_model(coefficients["gamma"])
    if sources.options["scope"] == "row":
        return [_medium_of_rows(sources, model, densities[model], gammas[model]) for model in models]
    kept: dict[int, Mask | None] = {}
    asked: list[tuple[int, TopK]] = []
    for model in models:
        histogram = sources.memoised(prepared_histogram, str(model))
        top, count = kept_ranks(densities[model], gammas[model], histogram.count, sources.options)
        kept[model] = Window(NOTHING) if count == 0 else None
        if count not in (0, histogram.count):
            values, chunks = delta_of(sources, model), sources.memoised(chunks_of, str(model))
            asked += [(model, TopK(values, histogram, wanted, chunks)) for wanted in (top + count, top) if wanted]
    for (model, _), threshold in zip(asked, thresholds_of_tensor([own for _, own in asked], "exact"), strict=True):
        within = kept[model]
        # The threshold of the kept elements comes first, that of those beyond them second.
        kept[model] = Window(within.within, threshold) if isinstance(within, Window) else Window(threshold)
    return [kept[model] for model in models]


def _medium_of_rows(sources: TensorSources, model: int, density: float, gamma: float) -> RankWindow | None:
    ranks, levels = ranks_of(sources, model)
    top, kept = kept_ranks(density, gamma, levels, sources.options)
    return None if kept == levels else RankWindow(ranks, levels - top - kept, levels - top)
