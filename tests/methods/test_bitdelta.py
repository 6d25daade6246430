"""BitDelta, by hand."""

from __future__ import annotations

import pytest
import torch

from evomerge.methods import TensorContext, load
from tests.methods.one_tensor import merge

BASE = torch.full((2, 2), 10.0)
DELTAS = [torch.tensor([[1.0, -3.0], [0.0, 4.0]]), torch.tensor([[-2.0, 2.0], [2.0, -2.0]])]
MODELS = [BASE + delta for delta in DELTAS]
SIGNS = torch.tensor([[1.0, -1.0], [1.0, 1.0]])


def merged(weights: tuple[float, float], **options: str) -> torch.Tensor:
    return merge(("bitdelta", tuple(options.items())), MODELS, BASE, {"weight": weights, "lambda": 1.0}) - BASE


def test_signs_times_the_mean_magnitude() -> None:
    assert torch.equal(merged((1.0, 0.0)), 2 * SIGNS)
    assert torch.equal(merged((0.5, 0.25)), SIGNS + DELTAS[1] / 4)


def test_zeros_may_be_kept() -> None:
    assert torch.equal(merged((1.0, 0.0), zeros="keep"), 2 * DELTAS[0].sign())


@pytest.mark.parametrize(
    ("shape", "layer", "compressed"), [((2, 2), 0, True), ((4, 1, 1), 3, True), ((4,), 0, False), ((2, 2), None, False)]
)
def test_matrices_of_layers_are_compressed(shape: tuple[int, ...], layer: int | None, compressed: bool) -> None:
    method = load("bitdelta")
    base, model, context = BASE.reshape(shape), MODELS[0].reshape(shape), TensorContext("x", layer)
    for chosen, whole in (("layers", not compressed), ("all", False)):
        options = method.resolve({"compress": chosen})
        out = torch.empty(shape)
        method.merge(context, method.sources(context, base, [model], options), {"weight": (1.0,), "lambda": 1.0}, out)
        assert torch.equal(out, model if whole else base + 2 * SIGNS.reshape(shape))
