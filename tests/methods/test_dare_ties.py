"""Random dropping with sign election, by hand."""

from __future__ import annotations

import torch

from evomerge.kernels import uniform
from tests.methods.one_tensor import merge

BASE = torch.full((6,), 10.0)
DELTAS = [torch.tensor([1.0, -1.0, 4.0, 0.0, -2.0, 3.0]), torch.tensor([-3.0, -1.0, 2.0, 0.0, 2.0, 5.0])]
MODELS = [BASE + delta for delta in DELTAS]


def values(density: float, weights: tuple[float, float] = (0.5, 1.0)) -> dict:
    return {"weight": weights, "density": (density, density), "lambda": 1.0}


def test_without_dropping_the_agreeing_weighted_deltas_are_added() -> None:
    # weighted deltas [.5, -.5, 2, 0, -1, 1.5] and [-3, -1, 2, 0, 2, 5]; signs -, -, +, none, +, +
    merged = merge(("dare_ties", ()), MODELS, BASE, values(1.0))
    assert (merged - BASE).tolist() == [-3.0, -1.5, 4.0, 0.0, 2.0, 6.5]


def test_normalised_by_the_weights_that_agree() -> None:
    merged = merge(("dare_ties", (("normalise", "weight"),)), MODELS, BASE, values(1.0))
    torch.testing.assert_close(merged - BASE, torch.tensor([-3.0, -1.0, 4 / 1.5, 0.0, 2.0, 6.5 / 1.5]))


def test_dropped_elements_do_not_vote() -> None:
    keys = [3, 4]
    kept = [delta * (uniform(key, slice(0, 6)) < 0.5) * 2 for delta, key in zip(DELTAS, keys, strict=True)]
    wanted = BASE.clone()
    for i in range(6):
        weighted = [0.5 * float(kept[0][i]), float(kept[1][i])]
        sign = 1 if sum(weighted) >= 0 else -1
        wanted[i] += sum(value for value in weighted if value * sign > 0)
    assert not torch.equal(kept[0], 2 * DELTAS[0])
    assert torch.equal(merge(("dare_ties", ()), MODELS, BASE, values(0.5), keys=keys), wanted)
