"""Inner products and signs of the deltas of several models, tensor by tensor: how alike they are before any merge."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from evomerge.checkpoints.source import CheckpointSource

# Elements that are compared together: their products are float64 copies, and their counts exact in float32.
_TOGETHER = 1 << 20


@dataclass(frozen=True)
class TensorDeltas:
    """The deltas of n models in one tensor.

    Attributes:
        name: The tensor.
        numel: Number of elements.
        base: Sum of the squares of the base's elements.
        totals: Sum of the elements of each delta, ``(n,)``.
        products: Inner products of the deltas, ``(n, n)``; squared lengths on the diagonal.
        changed: Number of elements that two models both changed, ``(n, n)``; that one changed, on the diagonal.
        agreeing: Number of those that both changed in the same direction, ``(n, n)``.
    """

    name: str
    numel: int
    base: float
    totals: NDArray[np.float64]
    products: NDArray[np.float64]
    changed: NDArray[np.float64]
    agreeing: NDArray[np.float64]


def compare_deltas(
    base: CheckpointSource,
    models: Sequence[CheckpointSource],
    names: Sequence[str],
    watch: Callable[[int], None] = lambda _: None,
    *,
    levels: int | None = None,
) -> list[TensorDeltas]:
    """Compares what models changed of their base; every tensor is read once, or twice with ``levels``.

    Args:
        base: The base.
        models: Models that have each of the tensors in the base's shape.
        names: The tensors to compare.
        watch: Told after each tensor how many elements have been compared.
        levels: Rounding of deltas: each model's is scaled so that its largest magnitude over all tensors is this
            whole number, and rounded to whole numbers; 127 is 8 bits. None leaves deltas as they are.
    """
    found, done = [], 0
    scales = None if levels is None else [_scale(base, model, names, levels) for model in models]
    for name in names:
        found.append(_compared(name, base.tensor(name), [model.tensor(name) for model in models], scales))
        done += found[-1].numel
        watch(done)
    return found


def _scale(base: CheckpointSource, model: CheckpointSource, names: Sequence[str], levels: int) -> float:
    """The factor that makes the largest magnitude of a model's delta ``levels``."""
    largest = max(
        (float(deltas.abs().max()) for name in names for _, deltas in _blocks(base.tensor(name), [model.tensor(name)])),
        default=0.0,
    )
    return levels / largest if largest else 0.0


def _blocks(base: torch.Tensor, models: Sequence[torch.Tensor]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Some elements of a base at a time, ``(k,)``, and those of the models' deltas, ``(n, k)``, both in float64."""
    flat_base, flat_models = base.reshape(-1), [model.reshape(-1) for model in models]
    for start in range(0, base.numel(), _TOGETHER):
        span = slice(start, start + _TOGETHER)
        own = flat_base[span].double()
        yield own, torch.stack([model[span].double() - own for model in flat_models])


def _compared(
    name: str, base: torch.Tensor, models: Sequence[torch.Tensor], scales: Sequence[float] | None
) -> TensorDeltas:
    count = len(models)
    squares, totals = 0.0, np.zeros(count)
    sums = [np.zeros((count, count)) for _ in range(3)]
    for own, deltas in _blocks(base, models):
        squares += float(own.square().sum())
        if scales is not None:
            deltas.mul_(torch.tensor(scales, dtype=torch.float64)[:, None]).round_()
        totals += deltas.sum(1).numpy()
        signs = deltas.sign().float()
        both = signs.abs() @ signs.abs().T
        parts = (deltas @ deltas.T, both, (both + signs @ signs.T) / 2)
        for total, part in zip(sums, parts, strict=True):
            total += part.double().numpy()
    return TensorDeltas(name, base.numel(), squares, totals, *sums)
