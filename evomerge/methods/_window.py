"""Keeps elements of medium magnitude: neither the largest, which may be outliers, nor the smallest (breadcrumbs)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from evomerge.kernels import NOTHING, Keep, RankWindow, Window
from evomerge.methods._declaration import Coefficients, Option, Options, Sources, TensorContext
from evomerge.methods._deltas import delta_of
from evomerge.methods._rows import prepare_ranks, ranks_bytes, ranks_of
from evomerge.methods._trim import Largest, chunks_of, cuts_of_tensor, magnitudes_of, prepare, prepared_bytes
from evomerge.methods._vocabulary import SCOPE, delta_mergekit, per_model
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
WINDOW_OPTIONS: Mapping[str, Option] = {"scope": ROW_SCOPE, "yields": YIELDS, "small": SMALL}


def prepare_window(
    context: TensorContext, base: torch.Tensor, models: Sequence[torch.Tensor], options: Options
) -> Mapping[str, torch.Tensor]:
    """Ranks within rows, or counted magnitudes, as the scope asks for."""
    return (prepare_ranks if options["scope"] == "row" else prepare)(context, base, models, options)


def window_bytes(shape: Sequence[int], n_models: int, options: Options) -> int:
    """2 bytes per element and model for rows; else what counted magnitudes take."""
    return (ranks_bytes if options["scope"] == "row" else prepared_bytes)(shape, n_models, options)


def places(density: float, gamma: float, count: int, options: Options) -> tuple[int, int]:
    """How many of ``count`` elements are left out above, and how many of the next are kept; at least one is."""
    top, kept = int(gamma * count), int(density * count)
    if options["small"] == "zero" and min(top, count - kept) == 0 and density < 1:
        return 0, 0
    kept = max(kept, 1)
    if options["yields"] == "gamma":
        return min(top, count - kept), kept
    top = min(top, count - 1)
    return top, min(kept, count - top)


def medium(
    context: TensorContext, sources: Sources, coefficients: Coefficients, models: Sequence[int]
) -> list[Keep | None]:
    """Leaves out the largest and keeps the next."""
    densities, gammas = per_model(coefficients["density"]), per_model(coefficients["gamma"])
    if sources.options["scope"] == "row":
        return [_medium_of_rows(sources, model, densities[model], gammas[model]) for model in models]
    kept: dict[int, Keep | None] = {}
    asked: list[tuple[int, Largest]] = []
    for model in models:
        histogram = sources.once(magnitudes_of, str(model))
        top, count = places(densities[model], gammas[model], histogram.count, sources.options)
        kept[model] = Window(NOTHING) if count == 0 else None
        if count not in (0, histogram.count):
            values, chunks = delta_of(sources, model), sources.once(chunks_of, str(model))
            asked += [(model, Largest(values, histogram, wanted, chunks)) for wanted in (top + count, top) if wanted]
    for (model, _), cut in zip(asked, cuts_of_tensor([own for _, own in asked], "exact"), strict=True):
        within = kept[model]
        # The cut of what is kept comes first, that of what lies beyond it second.
        kept[model] = Window(within.within, cut) if isinstance(within, Window) else Window(cut)
    return [kept[model] for model in models]


def _medium_of_rows(sources: Sources, model: int, density: float, gamma: float) -> RankWindow | None:
    ranks, levels = ranks_of(sources, model)
    top, kept = places(density, gamma, levels, sources.options)
    return None if kept == levels else RankWindow(ranks, levels - top - kept, levels - top)


def window_mergekit(options: Options) -> Mapping[str, object] | None:
    """Mergekit's parameters: it takes whole tensors, lets gamma give way, and leaves small deltas out."""
    same = {"scope": "tensor", "yields": "gamma", "small": "zero"}
    if any(options[name] != value for name, value in same.items()):
        return None
    return delta_mergekit({**options, "scope": SCOPE.default})
