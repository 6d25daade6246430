"""Dropping by rank: probabilities by hand, and what is kept on average."""

from __future__ import annotations

import pytest
import torch

from evomerge import methods
from evomerge.kernels import random_key, uniform
from tests.methods.one_tensor import merge

ROWS, COLUMNS = 40, 101
MODEL = torch.randn(ROWS, COLUMNS, generator=torch.Generator().manual_seed(0))
BASE = torch.zeros(ROWS, COLUMNS)


def at(density: float, epsilon: float) -> dict:
    return {"weight": (1.0,), "density": (density,), "epsilon": (epsilon,), "lambda": 1.0}


def dropped(values: dict, key: int, rescale: str = "none", model: torch.Tensor = MODEL) -> torch.Tensor:
    return merge(("della_linear", (("rescale", rescale),)), [model], torch.zeros_like(model), values, keys=[key])


def test_probabilities_rise_with_the_rank_in_the_row() -> None:
    """Two rows of five; density .4 and half of the widest range: from .2 to .6 in steps of .1."""
    delta = torch.tensor([[-5.0, 1, 3, -2, 4], [10, 20, 30, 40, 50]])
    chances = torch.tensor([[0.6, 0.2, 0.4, 0.3, 0.5], [0.2, 0.3, 0.4, 0.5, 0.6]])
    for key in range(30):
        kept = uniform(key, slice(0, 10)).view(2, 5) < chances
        torch.testing.assert_close(dropped(at(0.4, 0.5), key, "own", delta), delta * kept / chances)
        assert torch.equal(dropped(at(0.4, 0.5), key, "none", delta), delta * kept)


def test_own_rescaling_keeps_the_expectation_of_every_element() -> None:
    seeds, values = 400, at(0.3, 0.8)
    mean = torch.stack([dropped(values, key, "own") for key in range(seeds)]).mean(0)
    ranks = MODEL.abs().argsort(dim=1).argsort(dim=1)
    chances = 0.3 - 0.24 + 0.48 * ranks / (COLUMNS - 1)
    z = (mean - MODEL) / (MODEL.abs() * ((1 / chances - 1) / seeds) ** 0.5)
    assert abs(float(z.mean())) < 4 / MODEL.numel() ** 0.5
    assert float(z.std()) == pytest.approx(1, abs=0.05)


def test_large_elements_are_kept_more_often_and_density_is_the_mean() -> None:
    kept = torch.stack([dropped(at(0.3, 0.8), key) != 0 for key in range(200)]).float().mean(0)
    assert float(kept.mean()) == pytest.approx(0.3, abs=0.005)
    assert float(torch.corrcoef(torch.stack([kept.flatten(), MODEL.abs().flatten()]))[0, 1]) > 0.8


def test_without_epsilon_it_is_dare() -> None:
    for density in (0.2, 0.7, 1.0):
        values = at(density, 0.0)
        dare = {name: value for name, value in values.items() if name != "epsilon"}
        wanted = merge(("dare_linear", ()), [MODEL], BASE, dare, keys=[7])
        torch.testing.assert_close(dropped(values, 7, "own"), wanted)
        assert torch.equal(
            dropped(values, 7), merge(("dare_linear", (("rescale", "none"),)), [MODEL], BASE, dare, keys=[7])
        )


@pytest.mark.parametrize("shape", [(), (7,), (5, 1), (1, 5), (2, 3, 4)], ids=str)
@pytest.mark.parametrize("density", [0.001, 0.5, 0.95, 0.999])
@pytest.mark.parametrize("epsilon", [0.0, 0.5, 0.95])
def test_every_density_and_epsilon_is_valid(shape: tuple[int, ...], density: float, epsilon: float) -> None:
    model = torch.randn(shape, generator=torch.Generator().manual_seed(1)) + 1.0
    for key in range(10):
        merged = dropped(at(density, epsilon), key, "own", model)
        assert merged.isfinite().all()
        assert float((merged / model).max()) <= 1 / (density * 0.04)


def test_l1_rescaling_keeps_the_sum_of_absolute_values() -> None:
    for key in range(5):
        total = float(dropped(at(0.3, 0.8), key, "l1").abs().sum())
        assert total == pytest.approx(float(MODEL.abs().sum()), rel=1e-5)


def test_masks_belong_to_key_and_index() -> None:
    first, other = random_key(0, "a", "x"), random_key(0, "b", "x")
    assert torch.equal(dropped(at(0.3, 0.5), first), dropped(at(0.3, 0.5), first))
    assert not torch.equal(dropped(at(0.3, 0.5), first), dropped(at(0.3, 0.5), other))


def test_mergekit_has_another_rescaling() -> None:
    for name in ("della", "della_linear"):
        method = methods.load(name)
        assert method.mergekit(method.resolve({})) is None
        assert method.mergekit(method.resolve({"rescale": "l1", "normalise": "none"})) == {
            "normalize": False,
            "rescale": True,
        }
