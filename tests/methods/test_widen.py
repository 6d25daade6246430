"""WIDEN, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from evomerge.contracts.method_cases import family, same_bits
from evomerge.methods import TensorContext, load
from evomerge.methods.widen import prepare
from tests.methods.one_tensor import merge

# Columns of length 5, 1, 2 and 1.
BASE = torch.tensor([[3.0, 1.0, 0.0, 0.0], [4.0, 0.0, 2.0, 1.0]])
MODELS = [
    # The first is stretched by 5, the second turned by a right angle, the third as it was, the fourth stretched by 1.
    torch.tensor([[6.0, 0.0, 0.0, 0.0], [8.0, 1.0, 2.0, 2.0]]),
    # Stretched by 2.5, as it was, stretched by 2 and turned around, turned by half a right angle and stretched.
    torch.tensor([[4.5, 1.0, 0.0, 1.0], [6.0, 0.0, -4.0, 1.0]]),
]
LENGTHS = [[3, 0, 1, 2], [3, 0, 2, 1]]  # Changes 5, 0, 0, 1 and 2.5, 0, 2, .414; of equal ones the first is lower.
DIRECTIONS = [[0, 3, 1, 2], [0, 1, 3, 2]]


def values(ratio: float, calibration: float, weights: tuple[float, ...] = (1.0, 1.0)) -> dict:
    return {"weight": weights, "ratio": ratio, "calibration": calibration, "lambda": 1.0}


def factors(ratio: float, calibration: float) -> torch.Tensor:
    """Factors of the columns, ``(models, columns)``, from the ranks."""
    scores = []
    for ranks in (LENGTHS, DIRECTIONS):
        powers = [[math.exp(rank / 4) for rank in row] for row in ranks]
        scores.append([
            [calibration if ranks[m][c] > ratio * 1.5 else powers[m][c] / (powers[0][c] + powers[1][c])
             for c in range(4)] for m in range(2)
        ])  # fmt: skip
    return torch.tensor(scores).mean(0)


def test_ranks_of_columns_by_length_and_direction() -> None:
    assert prepare(TensorContext("x"), BASE, MODELS, {})["ranks"].tolist() == [LENGTHS, DIRECTIONS]


@pytest.mark.parametrize(("ratio", "calibration"), [(1.0, 1.0), (0.5, 0.7), (2.0, 1.0)])
def test_columns_weigh_by_their_ranks(ratio: float, calibration: float) -> None:
    own = factors(ratio, calibration)
    wanted = BASE + sum(factor * (model - BASE) for factor, model in zip(own, MODELS, strict=True))
    torch.testing.assert_close(merge(("widen", ()), MODELS, BASE, values(ratio, calibration)), wanted)


def test_tokens_have_rows() -> None:
    method, context = load("widen"), TensorContext("model.embed_tokens.weight", kind="embedding")
    turned = [model.t().contiguous() for model in (BASE, *MODELS)]
    sources, out = method.sources(context, turned[0], turned[1:], {}), torch.empty(4, 2)
    method.merge(context, sources, values(0.5, 0.7), out)
    torch.testing.assert_close(out.t(), merge(("widen", ()), MODELS, BASE, values(0.5, 0.7)))


def test_elements_of_vectors_weigh_by_their_magnitudes() -> None:
    base, models = torch.zeros(3), [torch.tensor([1.0, -0.5, 0.0]), torch.tensor([0.5, 0.25, 0.0])]
    # Mean magnitudes .5 and .25: above them are the first element of both, none of the others.
    share = 1 / (1 + math.exp(-0.25))
    wanted = torch.tensor([0.8 * 1.5, -0.5 * share + 0.25 * (1 - share), 0.0])
    torch.testing.assert_close(merge(("widen", ()), models, base, values(1.0, 0.8)), wanted)


def test_models_without_weight_take_no_part() -> None:
    assert torch.equal(
        merge(("widen", ()), MODELS, BASE, values(1.0, 0.6, (1.0, 0.0))),
        merge(("widen", ()), MODELS[:1], BASE, values(1.0, 0.6, (1.0,))),
    )
    # The softmax of one model is 1.
    torch.testing.assert_close(merge(("widen", ()), MODELS[:1], BASE, values(1.0, 1.0, (1.0,))), MODELS[0])


def test_columns_of_zeros() -> None:
    """In both models nothing moved; in one alone the direction did."""
    base = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    model = torch.tensor([[0.0, 1.0, 1.0], [0.0, 0.0, 0.125]])
    assert prepare(TensorContext("x"), base, [model], {})["ranks"].tolist() == [[[0, 2, 1]], [[0, 2, 1]]]


def test_tensors_of_three_dimensions_have_columns_along_the_first() -> None:
    base, models = family(2, (6, 4, 5))
    flat = [tensor.reshape(6, 20) for tensor in (base, *models)]
    found = merge(("widen", ()), models, base, values(1.0, 0.5))
    assert same_bits(found.reshape(6, 20), merge(("widen", ()), flat[1:], flat[0], values(1.0, 0.5)))
