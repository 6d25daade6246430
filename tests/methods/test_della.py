"""DELLA: the three steps by hand, drop, elect, fuse."""

from __future__ import annotations

import torch

from evomerge.kernels import uniform
from tests.methods.one_tensor import merge

BASE = torch.full((1, 4), 10.0)
DELTAS = [torch.tensor([[1.0, -2.0, 3.0, 4.0]]), torch.tensor([[-4.0, -3.0, 2.0, 1.0]])]
MODELS = [BASE + delta for delta in DELTAS]
# Density .5 and half of the widest range: .25, .4167, .5833 and .75 from the smallest magnitude up.
CHANCES = [torch.tensor([[3.0, 5.0, 7.0, 9.0]]) / 12, torch.tensor([[9.0, 7.0, 5.0, 3.0]]) / 12]


def values(density: float, weights: tuple[float, float] = (0.5, 1.0)) -> dict:
    return {"weight": weights, "density": (density,) * 2, "epsilon": (0.5, 0.5), "lambda": 2.0}


def test_drop_elect_and_fuse() -> None:
    different = set()
    for seed in range(40):
        keys = [seed, seed + 1000]
        kept = [
            delta * (uniform(key, slice(0, 4)) < chance) / chance
            for delta, key, chance in zip(DELTAS, keys, CHANCES, strict=True)
        ]
        wanted = BASE.clone()
        for i in range(4):
            votes = [0.5 * float(kept[0][0, i]), float(kept[1][0, i])]
            sign = 1 if sum(votes) >= 0 else -1
            agree = [vote * sign > 0 for vote in votes]
            if any(agree):
                wanted[0, i] += 2 * sum(v for v, a in zip(votes, agree, strict=True) if a) / (0.5 * agree[0] + agree[1])
        torch.testing.assert_close(merge(("della", ()), MODELS, BASE, values(0.5), keys=keys), wanted)
        different.add(tuple(wanted.flatten().tolist()))
    assert len(different) > 10


def test_at_density_one_nothing_is_dropped() -> None:
    # votes [.5 - 4, -1 - 3, 1.5 + 2, 2 + 1] elect -, -, +, +; means of what agrees, times 2
    merged = merge(("della", ()), MODELS, BASE, values(1.0))
    torch.testing.assert_close(merged - BASE, 2 * torch.tensor([[-4.0, -4 / 1.5, 3.5 / 1.5, 3 / 1.5]]))
