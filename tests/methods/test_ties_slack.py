"""TIES with a slack variable, by hand."""

from __future__ import annotations

import pytest
import torch

from evomerge.contracts.method_cases import family, merge_tensor, random_values, same_bits, variants
from evomerge.methods import load
from tests.methods.one_tensor import merge

BASE = torch.full((4,), 10.0)
DELTAS = [torch.tensor([4.0, -3.0, 1.0, 0.0]), torch.tensor([-3.0, 1.0, -0.5, -2.0])]
MODELS = [BASE + delta for delta in DELTAS]


def merged(slack: tuple[float, float], weights: tuple[float, float] = (1.0, 1.0), **options: str) -> list[float]:
    values = {"weight": weights, "density": (1.0, 1.0), "slack": slack, "lambda": 1.0}
    return (merge(("ties_slack", tuple(options.items())), MODELS, BASE, values) - BASE).tolist()


def test_slack_decides_elections_and_nothing_else() -> None:
    assert merged((0.0, 0.0)) == [4.0, -3.0, 1.0, -2.0]
    # Votes of the second count half as much again: 4 against 4.5, 3 against 1.5, 1 against .75.
    assert merged((0.0, 0.5)) == [-3.0, -3.0, 1.0, -2.0]
    assert merged((0.0, 1.5)) == [-3.0, -3.0, -0.5, -2.0]
    # What is merged has the plain weights.
    assert merged((0.0, 1.5), (1.0, 0.5), votes="plain", normalise="none") == [-1.5, -3.0, -0.25, -1.0]


def test_a_model_of_weight_zero_has_no_vote() -> None:
    assert merged((2.0, 0.0), (0.0, 1.0)) == DELTAS[1].tolist()


@pytest.mark.parametrize("options", list(variants(load("ties_slack"))), ids=str)
def test_without_slack_it_is_ties(options: dict) -> None:
    base, models = family(3)
    values = random_values(load("ties_slack"), options, 3)
    plain = merge_tensor(load("ties"), load("ties").resolve(options), (base, models), values)
    assert same_bits(merge_tensor(load("ties_slack"), options, (base, models), values | {"slack": (0.0,) * 3}), plain)
