"""Breadcrumbs with sign election, by hand."""

from __future__ import annotations

import torch

from tests.methods.one_tensor import merge

BASE = torch.full((6,), 10.0)
DELTAS = [torch.tensor([90.0, 5, -4, 3, 0.5, 0.25]), torch.tensor([2.0, -6, -5, 0.5, 80, 0.25])]
MODELS = [BASE + delta for delta in DELTAS]
VALUES = {"weight": (1.0, 0.5), "density": (0.5, 0.5), "gamma": (0.17, 0.17), "lambda": 1.0}


def merged_delta(**options: str) -> list[float]:
    return (merge(("breadcrumbs_ties", tuple(options.items())), MODELS, BASE, VALUES) - BASE).tolist()


def test_what_is_left_elects_and_what_agrees_is_added() -> None:
    # One of six is left out above and three are kept: [0, 5, -4, 3, 0, 0] and [2, -6, -5, 0, 0, 0];
    # weighted votes [1, 2, -6.5, 3, 0, 0] elect plus for the second element.
    assert merged_delta() == [1.0, 5.0, -6.5, 3.0, 0.0, 0.0]


def test_other_elections_and_sums() -> None:
    # Plain votes [2, -1, -9, 3]: the second element goes to the second model.
    assert merged_delta(votes="plain") == [1.0, -3.0, -6.5, 3.0, 0.0, 0.0]
    assert merged_delta(votes="plain", normalise="count") == [1.0, -3.0, -3.25, 3.0, 0.0, 0.0]
    divided = merge(("breadcrumbs_ties", (("normalise", "weight"),)), MODELS, BASE, VALUES) - BASE
    torch.testing.assert_close(divided, torch.tensor([2.0, 5.0, -6.5 / 1.5, 3.0, 0.0, 0.0]))
