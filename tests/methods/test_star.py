"""STAR: worked by hand, nuclear norms, partial sums that change nothing but time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from evomerge import methods
from evomerge.contracts.method_cases import family, merge_tensor
from evomerge.methods.star import truncation
from tests.methods.one_tensor import Variant, merge

EXACT = ("stored", "float32")


def values(eta: float, weights: tuple[float, ...] = (1.0, 1.0), scale: float = 1.0) -> dict[str, Any]:
    return {"weight": weights, "eta": eta, "lambda": scale}


def test_the_example_by_hand() -> None:
    """Singular values 4, 3, 2, 1: four tenths are the first alone, times 10 / 4; seven tenths the first two."""
    base = torch.full((4, 5), 10.0)
    first, second = torch.zeros(4, 5), torch.zeros(4, 5)
    first[range(4), range(4)] = torch.tensor([4.0, 3, 2, 1])
    second[2, 4] = 8.0
    models = [base + first, base + second]
    wanted = torch.zeros(4, 5)
    wanted[0, 0], wanted[2, 4] = 10.0, 8.0
    found = merge(("star", (EXACT,)), models, base, values(0.4)) - base
    torch.testing.assert_close(found, wanted / 2)
    summed: Variant = ("star", (EXACT, ("normalise", "none")))
    found = merge(summed, models, base, values(0.65, (0.5, 2.0), 0.1)) - base
    wanted[0, 0], wanted[1, 1], wanted[2, 4] = 0.5 * 4 * 10 / 7, 0.5 * 3 * 10 / 7, 2 * 8
    torch.testing.assert_close(found, 0.1 * wanted, rtol=0, atol=2e-6)


def test_the_fewest_values_that_are_enough() -> None:
    sums = np.array([4.0, 7.0, 9.0, 10.0])
    assert truncation(sums, 0.4) == (1, 2.5)
    assert truncation(sums, 0.41) == (2, 10 / 7)
    assert truncation(sums, 0.0) == (1, 2.5)
    assert truncation(sums, 0.999) == truncation(sums, 1.0) == (4, 1.0)


@pytest.mark.parametrize("eta", [0.1, 0.4, 0.7, 0.95])
@pytest.mark.parametrize("shape", [(37, 11), (11, 37)])
def test_the_nuclear_norm_stays(shape: tuple[int, int], eta: float) -> None:
    base, (model,) = family(1, shape)
    before, after = (
        torch.linalg.svdvals(other - base)
        for other in (model, merge(("star", (EXACT,)), [model], base, values(eta, (1.0,))))
    )
    torch.testing.assert_close(after.sum(), before.sum(), rtol=1e-4, atol=0)
    kept = int((before.cumsum(0) < eta * before.sum()).sum()) + 1
    assert (after[:kept] > 1e-2).all()
    assert (after[kept:] < 1e-4).all()


@pytest.mark.parametrize("stored", ["float32", "float16"])
def test_partial_sums_save_time_and_change_nothing(stored: str) -> None:
    """Beside rounding, and wherever the nearest one lies."""
    base, models = family(3, (40, 30))
    for eta in (0.05, 0.3, 0.5, 0.62, 0.8, 0.99):
        point = values(eta, (1.0, 0.0, 0.5))
        found = [
            merge(("star", (("stored", stored), ("sums", sums))), models, base, point) - base for sums in (0, 1, 3, 64)
        ]
        for other in found[1:]:
            torch.testing.assert_close(other, found[0], rtol=0, atol=2e-6 if stored == "float32" else 3e-3 * 0.3)


def test_copies_and_whole_deltas() -> None:
    """With all of their triples models are averaged as they are; copies of one give that one's truncated delta."""
    base, models = family(3)
    mean = torch.stack(models).mean(0)
    torch.testing.assert_close(merge(("star", ()), models, base, values(1.0, (1.0,) * 3)), mean, rtol=0, atol=1e-6)
    alone = merge(("star", (EXACT,)), models[:1], base, values(0.4, (1.0,)))
    copies = merge(("star", (EXACT,)), models[:1] * 3, base, values(0.4, (1.0,) * 3))
    torch.testing.assert_close(copies, alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("others", ["deltas", "base"])
def test_what_is_no_matrix_is_averaged_or_stays(others: str) -> None:
    base, models = family(2, (50,))
    found = merge(("star", (("others", others),)), models, base, values(0.4, (1.0, 3.0)))
    wanted = (models[0] + 3 * models[1]) / 4 if others == "deltas" else base
    torch.testing.assert_close(found, wanted)


def test_large_matrices_are_put_together_in_blocks() -> None:
    """Of many rows and of stacked ones; a block more or less is the same."""
    star = methods.load("star")
    options = star.resolve({"stored": "float32"})
    base, models = family(2, (3, 1000, 60))
    context = methods.TensorContext("x", kind="mlp")
    merged = torch.empty(base.shape)
    star.merge(context, star.sources(context, base, models, options), values(0.4), merged)
    for index in range(3):
        own = merge_tensor(star, options, (base[index], [model[index] for model in models]), values(0.4))
        torch.testing.assert_close(merged[index], own, rtol=0, atol=1e-6)
    long = [tensor.view(3000, 60).repeat(20, 1) for tensor in (base, *models)]
    found = merge_tensor(star, options, (long[0], long[1:]), values(0.4))
    torch.testing.assert_close(found.view(20, 3000, 60)[19], found[:3000], rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_number_of_threads_does_not_matter(dtype: torch.dtype) -> None:
    base, models = family(2, (900, 500))
    before, found = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            out = torch.empty(base.shape, dtype=dtype)
            found.append(merge(("star", ()), models, base, values(0.4), out=out))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*found)
