"""OPCM by hand: matrices whose singular vectors are the axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from evomerge import methods
from evomerge.contracts.method_cases import CONTEXT
from evomerge.errors import InputError
from evomerge.methods import TensorContext
from tests.methods.one_tensor import merge

BASE = torch.full((3, 3), 10.0)
FIRST = torch.diag(torch.tensor([3.0, 2.0, 1.0]))  # shares of the sum of singular values: 3/6, 5/6, 1
SECOND = torch.arange(1.0, 10.0).reshape(3, 3)


def merged_delta(deltas: Sequence[torch.Tensor], scale: float = 1.0, **options: Any) -> torch.Tensor:
    base = torch.full(deltas[0].shape, 10.0)
    return merge(("opcm", tuple(options.items())), [base + own for own in deltas], base, {"lambda": scale}) - base


def of_mean_length(total: torch.Tensor, deltas: Sequence[torch.Tensor]) -> torch.Tensor:
    return total / total.norm() * torch.stack([own.norm() for own in deltas]).mean()


@pytest.mark.parametrize(
    ("alpha", "gone"),
    [
        (0.4, [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
        (0.5, [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),  # one leading direction
        (0.84, [[1, 1, 0], [1, 1, 0], [0, 0, 1]]),
        (1.0, [[1, 1, 1], [1, 1, 1], [1, 1, 1]]),
    ],
)
def test_leading_directions_and_the_diagonal_are_taken_off(alpha: float, gone: list[list[int]]) -> None:
    left = SECOND * (1 - torch.tensor(gone))
    found = merged_delta([FIRST, SECOND], alpha=alpha)
    torch.testing.assert_close(found, of_mean_length(FIRST + left, [FIRST, SECOND]), atol=5e-6, rtol=1e-5)


def test_the_third_delta_is_seen_from_the_sum_of_two() -> None:
    """The second adds an axis that the first does not have; of the third only what neither has is left."""
    first, second = torch.diag(torch.tensor([2.0, 0.0, 0.0])), torch.diag(torch.tensor([0.0, 1.0, 0.0]))
    left = torch.tensor([[0.0, 2.0, 3.0], [4.0, 0.0, 6.0], [7.0, 8.0, 9.0]])  # of no direction nothing is taken off
    found = merged_delta([first, second, SECOND], alpha=0.0)
    wanted = of_mean_length(first + second + left, [first, second, SECOND])
    torch.testing.assert_close(found, wanted, atol=5e-6, rtol=1e-5)


def test_copies_add_nothing_and_lambda_scales() -> None:
    torch.testing.assert_close(merged_delta([SECOND] * 3, scale=0.5), SECOND / 2, atol=5e-6, rtol=1e-5)


def test_lengths_are_those_of_the_whole_model() -> None:
    """Beside the matrix an embedding and a norm, which are added up as they are."""
    method = methods.load("opcm")
    options = method.resolve({"alpha": 0.84})
    deltas = {
        CONTEXT: [FIRST, SECOND],
        TensorContext("model.embed_tokens.weight", kind="embedding"): [FIRST, SECOND],
        TensorContext("model.norm.weight", kind="norm"): [torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0])],
    }
    tensors = [(c, method.sources(c, torch.zeros_like(own[0]), own, options)) for c, own in deltas.items()]
    survey = method.survey(tensors, options) if method.survey else None
    left = SECOND * torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    sums = [FIRST + left, FIRST + SECOND, torch.tensor([1.0, 2.0])]
    whole = [torch.cat([own[model].flatten() for own in deltas.values()]).norm() for model in (0, 1)]
    factor = torch.stack(whole).mean() / torch.cat([own.flatten() for own in sums]).norm()
    for (context, sources), wanted in zip(tensors, sums, strict=True):
        out = torch.empty_like(wanted)
        method.merge(context, replace(sources, survey=survey), {"lambda": 1.0}, out)
        torch.testing.assert_close(out, factor * wanted, atol=5e-6, rtol=1e-5)


def test_weights_are_of_what_is_left() -> None:
    models, variant = [BASE + FIRST, BASE + SECOND], ("opcm", (("weights", "searched"), ("alpha", 0.84)))
    fixed = merged_delta([FIRST, SECOND], alpha=0.84)
    for weights, wanted in (((0.5, 0.5), fixed), ((3.0, 0.0), FIRST)):
        found = merge(variant, models, BASE, {"weight": weights, "lambda": 1.0}) - BASE
        torch.testing.assert_close(found, wanted, atol=5e-6, rtol=1e-5)


def test_layers_of_different_numbers_of_inputs_are_refused() -> None:
    method = methods.load("opcm")
    options = method.resolve({})
    counts = [(CONTEXT, method.sources(CONTEXT, BASE, [BASE + 1] * count, options)) for count in (2, 3)]
    assert method.survey is not None
    with pytest.raises(InputError, match="merged from 3 inputs and others from 2; give all layers as many inputs"):
        method.survey(counts, options)
