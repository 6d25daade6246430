"""Inner products and weighted sums of tensors, rows and columns, against plain float64."""

from __future__ import annotations

import pytest
import torch

from evomerge.contracts.method_cases import family, same_bits
from evomerge.kernels import BLOCK
from evomerge.methods import TensorContext
from evomerge.methods._shared.vectors import add_up, grams_bytes, prepare_grams

# Rows that are longer than a block, columns that are, and both shorter; one row, one column, more than two dimensions.
SHAPES = [(3, BLOCK + 5), (2, BLOCK // 2 + 3), (BLOCK // 100, 130), (1, 7), (7, 1), (5,), (4, 3, 6), ()]


def vectors_of(tensor: torch.Tensor, vectors: str) -> torch.Tensor:
    """The vectors as rows of a float64 matrix."""
    tensor = tensor.double()
    if vectors == "tensor" or tensor.ndim < 2:
        return tensor.reshape(1, -1)
    return tensor.reshape(-1, tensor.shape[-1]) if vectors == "rows" else tensor.reshape(tensor.shape[0], -1).t()


@pytest.mark.parametrize("with_base", [False, True])
@pytest.mark.parametrize("vectors", ["tensor", "rows", "columns"])
def test_grams_and_sums(vectors: str, with_base: bool) -> None:
    for shape in SHAPES:
        start, models = family(3, shape)
        base = start if with_base else None
        grams = prepare_grams(TensorContext("x"), base, models, {"vectors": vectors})["grams"]
        deltas = [vectors_of(model - start if with_base else model, vectors) for model in models]
        wanted = torch.stack([torch.stack([(a * b).sum(1) for b in deltas], -1) for a in deltas], -2)
        torch.testing.assert_close(grams, wanted, rtol=1e-6, atol=1e-6 * float(wanted.abs().max()))
        assert grams.nbytes == grams_bytes(shape, 3, {"vectors": vectors})
        factors = torch.randn(len(grams), 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        out = torch.empty(shape)
        flats = [model.reshape(-1) for model in models]
        add_up(None if base is None else base.reshape(-1), flats, factors, vectors, out)
        total = sum(factor[:, None] * delta for factor, delta in zip(factors.t(), deltas, strict=True))
        if with_base:
            total = total + vectors_of(start, vectors)
        torch.testing.assert_close(vectors_of(out, vectors), total, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("vectors", ["rows", "columns"])
def test_sums_do_not_depend_on_threads(vectors: str) -> None:
    _, models = family(2, (2, BLOCK // 2 + 3))
    found, threads = [], torch.get_num_threads()
    for number in (1, 2):
        torch.set_num_threads(number)
        found.append(prepare_grams(TensorContext("x"), None, models, {"vectors": vectors})["grams"])
    torch.set_num_threads(threads)
    assert same_bits(*found)
