"""Iso-C: worked by hand, flat spectra, and what is no matrix."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from evomerge import methods
from evomerge.contracts.method_cases import family, merge_tensor
from evomerge.methods import TensorContext
from evomerge.methods._shared.spectral.matrices import stack_of
from tests.methods.one_tensor import Variant, merge

BASE = torch.full((2, 3), 10.0)
# Their sum is [[3, 0, 0], [0, 4, 0]] turned: singular values 4 and 1 after the second expert takes 2 away.
DELTAS = [torch.tensor([[3.0, 0, 0], [0, 4, 0]]), torch.tensor([[-2.0, 0, 0], [0, 0, 0]])]
MODELS = [BASE + delta for delta in DELTAS]
SEARCHED: Variant = ("iso_c", (("weights", "searched"),))


def values(scale: float = 1.0, **other: Any) -> dict[str, Any]:
    return {"lambda": scale, **other}


def test_the_example_by_hand() -> None:
    """The sum has the singular values 1 and 4, along the first and the second axis: both become 2.5."""
    wanted = torch.tensor([[2.5, 0, 0], [0, 2.5, 0]])
    torch.testing.assert_close(merge(("iso_c", ()), MODELS, BASE, values()) - BASE, wanted)
    torch.testing.assert_close(merge(("iso_c", ()), MODELS, BASE, values(0.4)) - BASE, 0.4 * wanted)
    # With the second expert's weight at one half the first singular value is 2: the mean is 3.
    found = merge(SEARCHED, MODELS, BASE, values(weight=(1.0, 0.5))) - BASE
    torch.testing.assert_close(found, wanted * 3 / 2.5)
    assert torch.equal(
        merge(SEARCHED, MODELS, BASE, values(weight=(1.0, 1.0))), merge(("iso_c", ()), MODELS, BASE, values())
    )


@pytest.mark.parametrize("shape", [(37, 11), (11, 37), (20, 20)])
@pytest.mark.parametrize("variant", [("iso_c", ()), ("iso_c", (("stored", "float16"),))])
def test_all_singular_values_are_the_mean_of_the_sums(shape: tuple[int, int], variant: Variant) -> None:
    base, models = family(3, shape)
    total = sum((model - base for model in models), torch.zeros(shape))
    mean = torch.linalg.svdvals(total).mean()
    update = merge(variant, models, base, values()) - base
    torch.testing.assert_close(torch.linalg.svdvals(update), mean.expand(min(shape)), rtol=1e-3, atol=0)


def test_the_rank_of_low_rank_deltas_stays() -> None:
    left, right = torch.randn(2, 30, 2, generator=torch.Generator().manual_seed(0))
    base = torch.zeros(30, 30)
    update = merge(("iso_c", ()), [left @ right.t()], base, values())
    spectrum = torch.linalg.svdvals(update)
    torch.testing.assert_close(spectrum[:2], torch.linalg.svdvals(left @ right.t())[:2].mean().expand(2))
    assert spectrum[2:].max() < 1e-5


@pytest.mark.parametrize(("others", "factor"), [("mean", 0.5), ("sum", 1.0), ("base", 0.0)])
def test_what_is_no_matrix_is_added_up(others: str, factor: float) -> None:
    base, models = family(2, (50,))
    total = models[0] + models[1] - 2 * base
    found = merge(("iso_c", (("others", others),)), models, base, values(0.7))
    torch.testing.assert_close(found, base + 0.7 * factor * total)


def test_stacked_experts_are_merged_one_by_one() -> None:
    """Of an MLP's tensor of three dimensions each matrix; elsewhere, as in convolutions, it is no matrix."""
    method = methods.load("iso_c")
    base, models = family(2, (4, 9, 6))
    options, point = method.resolve({}), values()
    found = {}
    for kind in ("mlp", "other"):
        context, found[kind] = TensorContext("x", kind=kind), torch.empty(base.shape)
        method.merge(context, method.sources(context, base, models, options), point, found[kind])
    for index, matrix in enumerate(found["mlp"]):
        own = merge_tensor(method, options, (base[index], [model[index] for model in models]), point)
        torch.testing.assert_close(matrix, own)
    torch.testing.assert_close(found["other"], (models[0] + models[1]) / 2)
    assert stack_of((4, 9, 6)) == (4, 9, 6)
    assert stack_of((4, 9, 6), "attention") is stack_of((9,)) is stack_of((3, 0)) is stack_of((2, 2, 2, 2)) is None
    assert stack_of((9, 6), "embedding") == (1, 9, 6)


def test_deltas_that_cancel_leave_the_base() -> None:
    base, (model,) = family(1)
    opposite = base - (model - base)
    found = merge(SEARCHED, [model, opposite], base, values(weight=(1.0, 1.0)))
    torch.testing.assert_close(found, base, rtol=0, atol=1e-5)
