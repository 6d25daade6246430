"""Spherical interpolation, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from tests.methods.one_tensor import merge

SLERP = ("slerp", ())


def between(first: torch.Tensor, second: torch.Tensor, t: float) -> torch.Tensor:
    return merge(SLERP, [first, second], None, {"t": t})


def test_orthogonal_vectors_keep_their_lengths() -> None:
    # sin(60) of the first and sin(30) of the second, each with its own length.
    got = between(torch.tensor([2.0, 0.0]), torch.tensor([0.0, 4.0]), 1 / 3)
    torch.testing.assert_close(got, torch.tensor([2 * math.sqrt(3) / 2, 4 / 2]))


def test_unit_vectors_stay_on_the_sphere() -> None:
    first, second = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.6, 0.8, 0.0])
    angle = math.acos(0.6)
    for t in (0.1, 0.5, 0.9):
        got = between(first, second, t)
        torch.testing.assert_close(got, torch.tensor([math.cos(t * angle), math.sin(t * angle), 0.0]))


def test_matrices_are_one_vector() -> None:
    first, second = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    torch.testing.assert_close(between(first, second, 0.5), (first + second) / math.sqrt(2))


def test_ends_are_the_models_bit_by_bit() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(100, generator=generator), torch.randn(100, generator=generator)
    assert torch.equal(between(first, second, 0), first)
    assert torch.equal(between(first, second, 1), second)


def test_the_way_back_is_the_same_way() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(100, generator=generator), torch.randn(100, generator=generator)
    torch.testing.assert_close(between(first, second, 0.3), between(second, first, 0.7))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_nearly_parallel_vectors_are_interpolated_linearly(sign: float) -> None:
    first = torch.tensor([1.0, 0.0])
    second = sign * torch.tensor([2.0, 0.02])  # the cosine is 0.99995
    torch.testing.assert_close(between(first, second, 0.25), 0.75 * first + 0.25 * second)


def test_just_beyond_the_limit_it_is_spherical() -> None:
    angle = math.acos(0.9994)
    first, second = torch.tensor([1.0, 0.0]), torch.tensor([3 * math.cos(angle), 3 * math.sin(angle)])
    factor = math.sin(0.5 * angle) / math.sin(angle)
    torch.testing.assert_close(between(first, second, 0.5), factor * (first + second))


def test_zeros_count_as_orthogonal() -> None:
    first, zeros = torch.tensor([3.0, -4.0]), torch.zeros(2)
    torch.testing.assert_close(between(first, zeros, 1 / 3), first * math.cos(math.pi / 6))
    assert torch.equal(between(first, zeros, 0), first)
    assert torch.equal(between(zeros, first, 1), first)
    assert torch.equal(between(zeros, zeros, 0.5), zeros)
