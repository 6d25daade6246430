"""VaRM and MetaGPT, by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from evomerge import methods
from evomerge.methods import TensorContext
from evomerge.methods._shared.delta_sizes import shares
from tests.methods.one_tensor import merge

BASE = torch.zeros(4)
# Mean squares 4 and 1, mean magnitudes 1.5 and 1.
MODELS = [torch.tensor([0.0, 2.0, 2.0, -(2.0**1.5)]), torch.tensor([1.0, -1.0, 1.0, 1.0])]
FURTHER = torch.tensor([3.0, 0.0, 0.0])


def values(sharpness: float | None = 1.0, weights: tuple[float, float] = (0.5, 0.5), scale: float = 1.0) -> dict:
    own = {} if sharpness is None else {"sharpness": sharpness}
    return {"weight": weights, "lambda": scale, **own}


def merged(options: dict, *coefficients: object) -> torch.Tensor:
    return merge(("varm", tuple(options.items())), MODELS, BASE, values(*coefficients))  # type: ignore[arg-type]


def test_deltas_weigh_by_their_mean_squares() -> None:
    torch.testing.assert_close(merged({}), 0.8 * MODELS[0] + 0.2 * MODELS[1])
    torch.testing.assert_close(merged({}, 1.0, (0.5, 0.5), 2.0), 1.6 * MODELS[0] + 0.4 * MODELS[1])


def test_sharpness_is_the_power_of_the_sizes() -> None:
    torch.testing.assert_close(merged({}, 0.0), (MODELS[0] + MODELS[1]) / 2)
    torch.testing.assert_close(merged({}, 0.5), (2 * MODELS[0] + MODELS[1]) / 3)
    torch.testing.assert_close(merged({}, 2.0), (16 * MODELS[0] + MODELS[1]) / 17)


def test_weights_multiply_the_shares() -> None:
    torch.testing.assert_close(merged({}, 1.0, (0.2, 0.8)), (MODELS[0] + MODELS[1]) / 2)
    assert torch.equal(merged({}, 1.0, (0.0, 1.0)), MODELS[1])


def test_sizes_may_be_magnitudes() -> None:
    size = (4 + 2**1.5) / 4
    torch.testing.assert_close(merged({"size": "absolute"}), (size * MODELS[0] + MODELS[1]) / (size + 1))


def test_shares_may_be_a_softmax() -> None:
    share = 1 / (1 + math.exp(-3.0))
    torch.testing.assert_close(merged({"shares": "softmax"}), share * MODELS[0] + (1 - share) * MODELS[1])


def test_every_element_may_have_its_own_shares() -> None:
    wanted = torch.tensor([1.0, (8 - 1) / 5, (8 + 1) / 5, (-(2**4.5) + 1) / 9])
    torch.testing.assert_close(merged({"scope": "element"}, None), wanted)
    wanted = torch.tensor([1.0, (4 - 1) / 3, (4 + 1) / 3, (-8 + 1) / (2**1.5 + 1)])
    torch.testing.assert_close(merged({"scope": "element", "size": "absolute"}, None), wanted)


def test_elements_that_nobody_changed_stay() -> None:
    base = torch.tensor([-0.0, 5.0])
    found = merge(("varm", (("scope", "element"),)), [base, base + torch.tensor([0.0, 1.0])], base, values(None))
    assert found.tolist() == [0.0, 6.0]
    assert math.copysign(1, found[0]) == -1


@pytest.mark.parametrize(("unchanged", "share"), [("even", 0.5), ("nothing", 1.0)])
def test_a_model_that_changed_nothing(unchanged: str, share: float) -> None:
    found = merge(("varm", (("unchanged", unchanged),)), [MODELS[0], BASE], BASE, values())
    torch.testing.assert_close(found, share * MODELS[0])


def test_sizes_far_apart_and_none_at_all() -> None:
    options = methods.load("metagpt").resolve({})
    assert shares([1e-300, 1e300], (1.0, 1.0), 4.0, options) == {1: 1.0}
    assert shares([0.0, 0.0], (1.0, 1.0), 1.0, options) == {0: 0.5, 1: 0.5}
    assert shares([0.0, 2.0], (1.0, 1.0), 0.0, options) == {0: 0.5, 1: 0.5}
    assert shares([1.0, 2.0], (0.0, 0.0), 1.0, options) == {}


def _both_tensors(scope: str, method: str = "metagpt") -> list[torch.Tensor]:
    """A model of two tensors; the second one of the first model alone differs from the base."""
    declared = methods.load(method)
    options = declared.resolve({"scope": scope})
    tensors = [
        (TensorContext("one"), declared.sources(TensorContext("one"), BASE, MODELS, options)),
        (TensorContext("two"), declared.sources(TensorContext("two"), FURTHER * 0, [FURTHER, FURTHER * 0], options)),
    ]
    assert declared.survey is not None
    found = declared.survey(tensors, options)
    merged = []
    for context, sources in tensors:
        out = torch.empty_like(sources.models[0])
        declared.merge(context, replace(sources, survey=found), values(), out)
        merged.append(out)
    return merged


def test_the_lengths_of_whole_models_count() -> None:
    """Squared lengths 16 + 9 and 4."""
    for method in ("metagpt", "varm"):
        one, two = _both_tensors("global", method)
        torch.testing.assert_close(one, (25 * MODELS[0] + 4 * MODELS[1]) / 29)
        torch.testing.assert_close(two, 25 / 29 * FURTHER)


def test_or_those_of_each_tensor() -> None:
    one, two = _both_tensors("tensor")
    torch.testing.assert_close(one, 0.8 * MODELS[0] + 0.2 * MODELS[1])
    torch.testing.assert_close(two, FURTHER)
