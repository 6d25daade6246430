"""Random dropping of deltas and what it keeps on average."""

from __future__ import annotations

import pytest
import torch

from evomerge import methods
from evomerge.kernels import BLOCK, random_key, uniform
from tests.methods.one_tensor import merge

BASE = torch.zeros(4000)
MODEL = torch.randn(4000, generator=torch.Generator().manual_seed(0))


def rescaled(rule: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return ("dare_linear", (("rescale", rule),))


def at(density: float, weight: float = 1.0) -> dict:
    return {"weight": (weight,), "density": (density,), "lambda": 1.0}


def test_what_the_noise_keeps_is_divided_by_density() -> None:
    base, model, key = torch.ones(8), torch.ones(8) + torch.arange(1.0, 9.0), 42
    kept = uniform(key, slice(0, 8)) < 0.5
    assert 0 < kept.sum() < 8
    wanted = base + 0.25 * torch.arange(1.0, 9.0) * kept / 0.5
    assert torch.equal(merge(rescaled("inverse"), [model], base, at(0.5, 0.25), keys=[key]), wanted)


def test_inverse_rescaling_keeps_the_expectation() -> None:
    seeds, density = 400, 0.3
    mean = torch.stack([merge(rescaled("inverse"), [MODEL], BASE, at(density), keys=[k]) for k in range(seeds)]).mean(0)
    deviation = MODEL.abs() * ((1 / density - 1) / seeds) ** 0.5
    z = (mean - MODEL) / deviation
    assert abs(float(z.mean())) < 4 / MODEL.numel() ** 0.5
    assert float(z.std()) == pytest.approx(1, abs=0.05)


def test_l1_rescaling_keeps_the_sum_of_absolute_values() -> None:
    for key in range(20):
        merged = merge(rescaled("l1"), [MODEL], BASE, at(0.3), keys=[key])
        assert float(merged.abs().sum()) == pytest.approx(float(MODEL.abs().sum()), rel=1e-5)
        plain = merge(rescaled("none"), [MODEL], BASE, at(0.3), keys=[key])
        factor = MODEL.abs().sum() / plain.abs().sum()
        torch.testing.assert_close(merged, plain * factor)


@pytest.mark.parametrize("density", [0.05, 0.5, 0.9])
def test_the_kept_fraction_is_the_density(density: float) -> None:
    kept = [int((merge(rescaled("none"), [MODEL], BASE, at(density), keys=[key]) != 0).sum()) for key in range(50)]
    trials = 50 * MODEL.numel()
    assert abs(sum(kept) - density * trials) < 3 * (density * (1 - density) * trials) ** 0.5


def test_each_model_and_tensor_has_its_own_mask() -> None:
    models = [torch.ones(4000), torch.ones(4000)]
    values = {"weight": (1.0, 1.0), "density": (0.5, 0.5), "lambda": 1.0}
    merged = merge(rescaled("none"), models, BASE, values)
    shares = [float((merged == value).float().mean()) for value in (0, 1, 2)]
    assert shares == pytest.approx([0.25, 0.5, 0.25], abs=0.04)


def test_masks_do_not_depend_on_the_length_of_the_tensor() -> None:
    long = torch.ones(BLOCK + 5000)
    whole = merge(rescaled("none"), [long], torch.zeros_like(long), at(0.5))
    assert torch.equal(whole[:4000], merge(rescaled("none"), [torch.ones(4000)], BASE, at(0.5)))
    assert torch.equal(whole[BLOCK:], (uniform(random_key(0, 0, "x"), slice(BLOCK, BLOCK + 5000)) < 0.5).float())


def test_masks_are_nested_so_that_density_acts_smoothly() -> None:
    few, many = (merge(rescaled("none"), [MODEL], BASE, at(density)) for density in (0.3, 0.31))
    assert torch.equal(few[few != 0], many[few != 0])
    assert int((few != many).sum()) < 0.02 * MODEL.numel()


def test_mergekits_form_is_named_only_where_it_computes_the_same() -> None:
    method = methods.load("dare_linear")
    assert method.mergekit(method.resolve({})) is None
    assert method.mergekit(method.resolve({"rescale": "l1"})) == {"normalize": False, "rescale": True}
    assert method.mergekit(method.resolve({"rescale": "none", "normalise": "weight"})) == {
        "normalize": True,
        "rescale": False,
    }
