"""Vectors of a tensor, which may be all of it, its rows or its columns: inner products, and weighted sums of models.

Methods that go by lengths and angles prepare the inner products of every vector (`prepare_grams`), work out one factor
for each vector and model, and add up (`add_up`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch

from evomerge.kernels import BLOCK, Finite, Mixture, Part, Variance, dot, fill, flat, mix, spread, square_sums
from evomerge.methods._shared.inputs import Options, TensorContext
from evomerge.options import Option

VECTORS = Option(
    "tensor",
    ("tensor", "rows", "columns"),
    str,
    "what is one vector: the whole tensor, each row along the last dimension, or each column along the first",
)


def prepare_grams(
    context: TensorContext, base: torch.Tensor | None, models: Sequence[torch.Tensor], options: Options
) -> Mapping[str, torch.Tensor]:
    """Inner products of the models' vectors, or with a base their deltas': ``grams``, float64, ``(vectors, n, n)``."""
    vectors, width = _layout(models[0].shape, options.get("vectors", "tensor"))
    if vectors == "tensor":
        return {"grams": _whole(base, models)}
    flats, flat_base = [flat(model) for model in models], None if base is None else flat(base)
    return {"grams": _rows(flat_base, flats, width) if vectors == "rows" else _columns(flat_base, flats, width)}


def grams_bytes(shape: Sequence[int], n_models: int, options: Options) -> int:
    """8 bytes for each pair of models and vector."""
    vectors, width = _layout(shape, options.get("vectors", "tensor"))
    count = {"tensor": 1, "rows": math.prod(shape) // width, "columns": width}[vectors]
    return 8 * count * n_models**2


def add_up(
    base: torch.Tensor | None, models: Sequence[torch.Tensor], factors: torch.Tensor, vectors: str, out: torch.Tensor
) -> Finite | None:
    """Writes the sum of the models' vectors, or with a base of their deltas', each times its factor, and the base.

    Args:
        base: The base's elements, flat, or None.
        models: The models'.
        factors: One for each vector and model, ``(vectors, n)``, on the CPU; a model of factor zero takes no part in a
            whole tensor.
        vectors: The option.
        out: Memory of the tensor's shape.

    Returns:
        Whether the result is finite, or None where that was not looked at.
    """
    if len(factors) == 1:
        parts = [Part(model, factor) for model, factor in zip(models, factors[0].tolist(), strict=True) if factor]
        if parts or base is not None:
            return mix(Mixture(base, parts), out).finite
        out.detach().zero_()
        return True
    vectors, width = _layout(out.shape, vectors)
    own = factors.to(device=out.device, dtype=torch.float32).t().contiguous()

    def summed(span: slice) -> torch.Tensor:
        start = None if base is None else base[span].to(torch.float32)
        total = torch.zeros(span.stop - span.start, device=out.device)
        for model, factor in zip(models, own, strict=True):
            block = model[span].to(torch.float32)
            total += spread(factor, span, vectors, width) * (block if start is None else block - start)
        # Taken off with no negative zeros, so that the base's own stay where nothing is added.
        return total if start is None else start - total.neg_().add_(0.0)

    fill(out, summed)
    return None


def _layout(shape: Sequence[int], vectors: str) -> tuple[str, int]:
    """The kind of vectors, ``tensor`` where there is only one, and the number of elements of a row of the matrix.

    Columns are those of the matrix whose rows run along all dimensions but the first.
    """
    numel = math.prod(shape)
    if not shape or not numel:
        return "tensor", 1
    width = shape[-1] if vectors == "rows" else numel // shape[0]
    several = width < numel if vectors == "rows" else width > 1
    return (vectors, width) if vectors != "tensor" and several else ("tensor", 1)


def _whole(base: torch.Tensor | None, models: Sequence[torch.Tensor]) -> torch.Tensor:
    """Inner products of whole tensors; of deltas by their squares and those of the models' differences."""
    count = len(models)
    grams = torch.zeros(1, count, count, dtype=torch.float64)
    flats = [flat(model) for model in models]
    squares = [] if base is None else square_sums(Variance(flat(base), flats))
    for i in range(count):
        if base is None:
            row = [dot(flats[i], other) for other in flats[i:]]
        else:
            apart = square_sums(Variance(flats[i], flats[i + 1 :])) if flats[i + 1 :] else []
            row = [squares[i], *((squares[i] + squares[i + 1 + j] - own) / 2 for j, own in enumerate(apart))]
        grams[0, i, i:] = grams[0, i:, i] = torch.tensor(row, dtype=torch.float64)
    return grams


def _rows(base: torch.Tensor | None, models: Sequence[torch.Tensor], width: int) -> torch.Tensor:
    """Inner products of rows of ``width`` elements, some rows at once."""
    numel, step = models[0].numel(), max(1, BLOCK // width) * width
    found = [
        folded(_products(base, models, slice(start, min(start + step, numel)), width), dim=1)
        for start in range(0, numel, step)
    ]
    return _square(torch.cat(found, dim=1), len(models))


def _columns(base: torch.Tensor | None, models: Sequence[torch.Tensor], width: int) -> torch.Tensor:
    """Inner products of columns of a matrix whose rows have ``width`` elements, some rows at once, added in order."""
    numel, step = models[0].numel(), max(1, BLOCK // width) * width
    total: torch.Tensor | None = None
    for start in range(0, numel, step):
        here = folded(_products(base, models, slice(start, min(start + step, numel)), width), dim=0)
        total = here if total is None else total.add_(here)
    assert total is not None
    return _square(total, len(models))


def _products(base: torch.Tensor | None, models: Sequence[torch.Tensor], span: slice, width: int) -> list[torch.Tensor]:
    """Element-wise products of all pairs of models, or of their deltas, over some rows."""
    start = None if base is None else base[span].to(torch.float32)
    blocks = [model[span].to(torch.float32) for model in models]
    blocks = [(block if start is None else block - start).to(torch.float64).view(-1, width) for block in blocks]
    return [left * right for i, left in enumerate(blocks) for right in blocks[i:]]


def folded(terms: Sequence[torch.Tensor], dim: int) -> torch.Tensor:
    """Sums along a dimension, in an order that does not depend on the number of threads; one row per tensor."""
    sums = []
    for own in terms:
        while own.shape[dim] > 1:
            half = (own.shape[dim] + 1) // 2
            upper = own.narrow(dim, half, own.shape[dim] - half)
            own.narrow(dim, 0, upper.shape[dim]).add_(upper)
            own = own.narrow(dim, 0, half)
        sums.append(own.reshape(-1))
    return torch.stack(sums)


def _square(upper: torch.Tensor, count: int) -> torch.Tensor:
    """Symmetric matrices ``(vectors, n, n)`` from their upper triangles ``(pairs, vectors)``."""
    grams = torch.empty(upper.shape[1], count, count, dtype=torch.float64)
    above, right = torch.triu_indices(count, count)
    grams[:, above, right] = grams[:, right, above] = upper.t().cpu()
    return grams
