"""Updates of matrices that are added to the base, and plain sums of deltas for all other tensors.

An update is a matrix of a delta's size. A candidate costs one pass over the base and updates that are prepared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

from evomerge.kernels import Finite, Mixture, Part, flat, mix
from evomerge.methods._shared.coefficients import per_model, shared
from evomerge.methods._shared.inputs import Coefficients, Options, TensorContext, TensorSources
from evomerge.methods._shared.spectral.matrices import stack_of

Updates = Callable[[Sequence[torch.Tensor], Options], Sequence[torch.Tensor]]
"""Gives the updates of one matrix, float32, from the deltas of all models and the method's options."""


def pack_updates(updates: Sequence[Sequence[torch.Tensor]], shape: torch.Size, stored: str) -> dict[str, torch.Tensor]:
    """The updates of every matrix of a tensor as prepared arrays: ``update.j`` of its shape, and ``scales``."""
    packed = [pack(torch.stack(list(one)).view(shape), stored) for one in zip(*updates, strict=True)]
    arrays = {f"update.{j}": array for j, (array, _) in enumerate(packed)}
    return {**arrays, "scales": torch.tensor([factor for _, factor in packed], dtype=torch.float64)}


def updates_bytes(shape: Sequence[int], count: int, options: Options) -> int:
    """Bytes of ``count`` updates of a tensor."""
    return 0 if stack_of(shape) is None else count * (item_bytes(options) * math.prod(shape) + 8)


def item_bytes(options: Options) -> int:
    """Bytes of one stored number."""
    return 2 if options["stored"] == "float16" else 4


def pack(values: torch.Tensor, stored: str) -> tuple[torch.Tensor, float]:
    """Values as they are stored, on the CPU, and the factor that they have to be multiplied by."""
    if stored == "float32":
        return values.to(torch.float32).cpu().contiguous(), 1.0
    largest = float(values.abs().max()) or 1.0
    return (values / largest).to(torch.float16).cpu().contiguous(), largest


def weights_of(sources: TensorSources, coefficients: Coefficients) -> tuple[float, ...]:
    """The weight of each delta: one, where there are no weights."""
    return per_model(coefficients["weight"]) if "weight" in coefficients else (1.0,) * len(sources.models)


def merge_prepared(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the base plus lambda times the prepared updates, each with its model's weight where there are several."""
    if out.numel() == 0:
        return True
    if "scales" not in sources.prepared:
        return add_others(context, sources, coefficients, out)
    scale, factors = shared(coefficients["lambda"]), sources.memoised(_scales, "scales")
    weights = weights_of(sources, coefficients) if len(factors) > 1 else (1.0,)
    updates = [
        (flat(sources.operand(f"update.{j}")), scale * weight * factor)
        for j, (weight, factor) in enumerate(zip(weights, factors, strict=True))
    ]
    return add_updates(sources, updates, out)


def add_updates(
    sources: TensorSources, updates: Sequence[tuple[torch.Tensor, float]], out: torch.Tensor
) -> Finite | None:
    """Writes the base plus some flat updates, each times its factor. One of factor zero takes no part."""
    parts = [Part(update, factor) for update, factor in updates if factor != 0]
    if not parts:
        return mix(Mixture(sources.flat_base, []), out).finite
    return mix(Mixture(None, [Part(sources.flat_base, 1.0), *parts]), out).finite


def add_others(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes a tensor without updates: by the option ``others``, or plainly, so that what is not finite shows."""
    models, choice = sources.flat_models, sources.options["others"]
    if choice == "base" and stack_of(out.shape, context.kind) is None:
        return mix(Mixture(sources.flat_base, []), out).finite
    weights = weights_of(sources, coefficients)
    parts = [Part(model, weight) for model, weight in zip(models, weights, strict=True) if weight != 0]
    scale = shared(coefficients["lambda"]) / (len(models) if choice == "mean" else 1)
    return mix(Mixture(sources.flat_base, parts, scale=scale), out).finite


def _scales(sources: TensorSources, name: str) -> list[float]:
    return sources.prepared[name].tolist()
