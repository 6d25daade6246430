"""Spherical interpolation of models or deltas, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from evomerge.contracts.method_cases import same_bits
from evomerge.methods import load
from evomerge.recipe import CheckpointRef, Group, ParameterGroups, Recipe
from tests.methods.one_tensor import merge

ROOT3 = math.sqrt(3)


def between(
    first: torch.Tensor,
    second: torch.Tensor,
    weights: tuple[float, float],
    base: torch.Tensor | None = None,
    vectors: str = "tensor",
) -> torch.Tensor:
    return merge(("nuslerp", (("vectors", vectors),)), [first, second], base, {"weight": weights})


def test_a_third_of_the_way_between_orthogonal_vectors() -> None:
    # sin(60) of the first and sin(30) of the second, each with its own length; only proportions matter.
    first, second = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 4.0])
    for weights in ((2.0, 1.0), (0.2, 0.1)):
        torch.testing.assert_close(between(first, second, weights), torch.tensor([ROOT3, 2.0]))


def test_with_a_base_deltas_are_interpolated() -> None:
    base = torch.tensor([10.0, -10.0])
    got = between(base + torch.tensor([2.0, 0.0]), base + torch.tensor([0.0, 4.0]), (2.0, 1.0), base)
    torch.testing.assert_close(got, base + torch.tensor([ROOT3, 2.0]))


def test_rows_and_columns_have_angles_of_their_own() -> None:
    # Rows: the first are orthogonal, the second equal. Columns: all point the same way or are zero.
    first = torch.tensor([[2.0, 0.0], [1.0, 1.0]])
    second = torch.tensor([[0.0, 4.0], [1.0, 1.0]])
    even, half = (1.0, 1.0), math.sin(math.pi / 4)
    got = between(first, second, even, vectors="rows")
    torch.testing.assert_close(got, torch.tensor([[2 * half, 4 * half], [1.0, 1.0]]))
    got = between(first, second, even, vectors="columns")
    torch.testing.assert_close(got, between(first.t(), second.t(), even, vectors="rows").t())
    # The first columns are (2, 1) and (0, 1).
    factor = math.sin(math.acos(1 / math.sqrt(5)) / 2) / math.sin(math.acos(1 / math.sqrt(5)))
    torch.testing.assert_close(got[:, 0], torch.tensor([2.0, 2.0]) * factor)
    assert torch.equal(got, between(first.reshape(2, 2, 1), second.reshape(2, 2, 1), even, vectors="columns")[..., 0])


def test_a_negative_weight_goes_beyond_the_other_model() -> None:
    first, second = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    got = between(first, second, (4.0, -1.0))  # a third of the angle back
    torch.testing.assert_close(got, torch.tensor([ROOT3 / 2, -0.5]))


@pytest.mark.parametrize("second", [torch.tensor([2.0, 4.0]), torch.tensor([-3.0, -6.0])])
def test_vectors_along_one_line_are_interpolated_linearly(second: torch.Tensor) -> None:
    first = torch.tensor([1.0, 2.0])
    torch.testing.assert_close(between(first, second, (3.0, 1.0)), 0.75 * first + 0.25 * second)


def test_zeros_count_as_orthogonal() -> None:
    first, zeros = torch.tensor([3.0, -4.0]), torch.zeros(2)
    torch.testing.assert_close(between(first, zeros, (2.0, 1.0)), first * ROOT3 / 2)
    for base in (None, zeros):
        assert torch.equal(between(zeros, zeros, (1.0, 1.0), base), zeros)


def test_weights_that_sum_to_zero() -> None:
    """As in mergekit those that cancel give the middle; none at all is refused, and adds nothing to a base."""
    base, first, second = torch.tensor([-0.0, 1.0]), torch.tensor([2.0, 1.0]), torch.tensor([0.0, 5.0])
    assert torch.equal(between(first, second, (1.0, -1.0)), between(first, second, (1.0, 1.0)))
    assert torch.equal(between(first, second, (3.0, -3.0), base), between(first, second, (1.0, 1.0), base))
    assert same_bits(between(first, second, (0.0, 0.0), base), base)

    def problems(weights: tuple[float, float]) -> list[str]:
        models = (CheckpointRef("one"), CheckpointRef("two"))
        groups, values = ParameterGroups((Group("all"),)), {"weight": np.array([weights])}
        return load("nuslerp").problems(Recipe("nuslerp", {}, models, None, groups, values))

    assert problems((1.4, -0.4)) == problems((1.0, -1.0)) == []
    assert "sums to zero" in problems((0.0, 0.0))[0]


@pytest.mark.parametrize(
    ("flatten", "row_wise", "vectors"),
    [(True, False, "tensor"), (True, True, "tensor"), (False, False, "rows"), (False, True, "columns")],
)
def test_mergekits_parameters(flatten: bool, row_wise: bool, vectors: str) -> None:
    method = load("nuslerp")
    assert method.mergekit_parameters is not None
    written = {"nuslerp_flatten": flatten, "nuslerp_row_wise": row_wise}
    assert method.mergekit_parameters.read(written) == {"vectors": vectors}
    read = method.mergekit({"vectors": vectors})
    assert read is not None
    assert method.mergekit_parameters.read(read) == {"vectors": vectors}
