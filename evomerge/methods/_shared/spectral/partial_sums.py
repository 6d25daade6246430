"""Deltas cut to their leading singular triples, at a fraction of the cost of adding these up.

Of each delta some partial sums of its triples are stored. A truncation is the nearest of them, where nothing and the
whole delta count as two more that take no room, with the triples in between added or taken off.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from evomerge.kernels import Mixture, Part, flat, mix
from evomerge.methods._shared.inputs import Options, TensorContext, TensorSources
from evomerge.methods._shared.spectral.decomposition import Svd, svd
from evomerge.methods._shared.spectral.matrices import deltas_of, stack_of
from evomerge.methods._shared.spectral.products import factor_dtype, factors
from evomerge.methods._shared.spectral.triples import Triples, fresh, load_triples, store_triples, triples_bytes
from evomerge.methods._shared.spectral.updates import item_bytes, pack

# Elements of a matrix that are computed at once. A constant, so that no result depends on the number of threads.
_BLOCK = 1 << 21
Truncate = Callable[[np.ndarray], tuple[int, float]]
"""Number of triples that are kept, at least one, and their factor, from the cumulative sums of the singular values."""


def prepare_partial_sums(
    context: TensorContext, base: torch.Tensor, models: Sequence[torch.Tensor], options: Options
) -> Mapping[str, torch.Tensor]:
    """All triples, and ``sum.j`` and ``scales.j``: the j-th partial sum for each matrix and model."""
    stack = deltas_of(context, base, models)
    if stack is None:
        return {}
    triples = [[svd(delta) for delta in deltas] for deltas in stack]
    arrays = store_triples(triples, options["stored"])
    every = [_packed_sums(own, options) for parts in triples for own in parts]
    for j, packed in enumerate(zip(*every, strict=True), start=1):
        arrays[f"sum.{j}"] = torch.stack([array for array, _ in packed])
        arrays[f"scales.{j}"] = torch.tensor([scale for _, scale in packed], dtype=torch.float64)
    return arrays


def partial_sums_bytes(shape: Sequence[int], n_models: int, options: Options) -> int:
    """The most that :func:`prepare_partial_sums` prepares."""
    stack = stack_of(shape)
    if stack is None:
        return 0
    sums = options["sums"] * n_models * (item_bytes(options) * math.prod(shape) + 8 * stack[0])
    return sums + triples_bytes(shape, min(stack[1:]) * n_models, n_models, options)


def _packed_sums(triples: Svd, options: Options) -> list[tuple[torch.Tensor, float]]:
    marks = _marks(triples.rank, options["sums"])
    total, packed = torch.zeros_like(triples.left @ triples.right.t()), []
    for low, high in itertools.pairwise(marks[:-1]):
        span = slice(low, high)
        total = total + Svd(triples.left[:, span], triples.values[span], triples.right[:, span]).product()
        packed.append(pack(total, options["stored"]))
    return packed


def _marks(rank: int, sums: int) -> list[int]:
    """Numbers of triples in the partial sums, from none to all."""
    return [rank * j // (sums + 1) for j in range(sums + 2)]


def add_truncated(sources: TensorSources, truncate: Truncate, factors: Sequence[float], out: torch.Tensor) -> None:
    """Writes the base plus truncated deltas, each times its factor.

    Args:
        sources: With the arrays of :func:`prepare_partial_sums`.
        truncate: The truncation of a delta's matrix.
        factors: One per model; a model of factor zero takes no part.
        out: Memory of the tensor's shape.
    """
    target = out.detach()
    memory = target if target.is_contiguous() else torch.empty(out.shape, dtype=out.dtype, device=out.device)
    (rows, columns), stack = out.shape[-2:], sources.memoised(_sums_and_triples, "triples")
    step = max(1, _BLOCK // columns)
    for index, parts in enumerate(stack):
        matrix = _Matrix(sources, index, rows * columns, [], [])
        for model, (sums, triples) in enumerate(parts):
            if factors[model] and len(sums):
                matrix.add(model, triples, truncate(sums), factors[model])
        matrix.finish()
        for start in range(0, rows, step):
            matrix.write(flat(memory), slice(start, min(start + step, rows)), columns)
    if memory is not target:
        target.copy_(memory)


def _sums_and_triples(sources: TensorSources, name: str) -> list[list[tuple[np.ndarray, Triples]]]:
    """Cumulative sums of the singular values of each matrix's deltas, and their triples."""
    return [[(own.values.cumsum(0).numpy(), own) for own in parts] for parts in load_triples(sources)]


@dataclass
class _Matrix:
    """One matrix of a tensor, as it is put together: elements that are added up, and triples that are multiplied out.

    Attributes:
        sources: The tensor.
        index: Of the matrix.
        numel: Number of its elements.
        parts: What is added up, and its factor; all of the matrix's elements, flat.
        triples: Left and right vectors as rows, these times their factors.
        base: Factor of the base.
        from_nothing: Whether the triples of some model are all that there is of it.
        right: All right vectors, once there are no more to add.
    """

    sources: TensorSources
    index: int
    numel: int
    parts: list[tuple[torch.Tensor, float]]
    triples: list[tuple[torch.Tensor, torch.Tensor]]
    base: float = 1.0
    from_nothing: bool = False
    right: torch.Tensor = field(init=False)

    def add(self, model: int, triples: Triples, truncation: tuple[int, float], factor: float) -> None:
        """Adds a truncated delta times a factor."""
        (rank, rescale), sums = truncation, self.sources.options["sums"]
        marks, factor = _marks(len(triples.values), sums), factor * rescale
        nearest = min(range(sums + 2), key=lambda j: abs(marks[j] - rank))
        place = self.index * len(self.sources.models) + model
        if nearest == sums + 1:
            self.parts.append((self._own(self.sources.flat_models[model]), factor))
            self.base -= factor
        elif nearest:
            scale = float(self.sources.prepared[f"scales.{nearest}"][place])
            self.parts.append((flat(self.sources.operand(f"sum.{nearest}")[place]), factor * scale))
        span = slice(*sorted((rank, marks[nearest])))
        if span.start < span.stop:
            self.from_nothing |= nearest == 0
            values = triples.values[span] * (factor if rank > marks[nearest] else -factor)
            right = fresh(triples.right[span])
            self.triples.append((triples.left[span], right.mul_(values.to(right)[:, None])))

    def finish(self) -> None:
        """Nothing is added any more. What adds up from nothing is most of a delta, so its factors are not rounded."""
        if self.triples:
            coarse = factor_dtype(self.sources.options["stored"], self.triples[0][0].device)
            dtype = torch.float32 if self.from_nothing else coarse
            self.right = factors([right for _, right in self.triples], dtype)

    def write(self, out: torch.Tensor, rows: slice, columns: int) -> None:
        """Writes some rows."""
        span = slice(rows.start * columns, rows.stop * columns)
        parts = [Part(part[span], factor) for part, factor in self.parts]
        if self.triples:
            left = factors([left[:, rows] for left, _ in self.triples], self.right.dtype)
            parts.append(Part((left.t() @ self.right).view(-1), 1.0))
        base = self._own(self.sources.flat_base)[span]
        mix(Mixture(None, [Part(base, self.base), *parts]), self._own(out)[span])

    def _own(self, elements: torch.Tensor) -> torch.Tensor:
        return elements[self.index * self.numel :][: self.numel]
