"""Singular values, polar factors: against torch.linalg, on any number of threads, of matrices of low rank."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from evomerge.methods._shared.spectral.decomposition import one_thread, polar, svd

SHAPES = [(40, 40), (90, 17), (17, 90), (1, 5), (5, 1), (1, 1), (300, 120)]


def matrix(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("shape", SHAPES)
def test_is_the_decomposition_of_lapack(shape: tuple[int, int]) -> None:
    given = matrix(*shape)
    found, wanted = svd(given), torch.linalg.svdvals(given.double())
    torch.testing.assert_close(found.values, wanted, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found.product(), given, rtol=0, atol=1e-5)
    for vectors in (found.left, found.right):
        torch.testing.assert_close(vectors.t() @ vectors, torch.eye(found.rank), rtol=0, atol=1e-5)
    left, _, right = torch.linalg.svd(given.double(), full_matrices=False)
    factor, values = polar(given)
    torch.testing.assert_close(factor.double(), left @ right, rtol=0, atol=1e-5)
    torch.testing.assert_close(values, wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", [(30, 20), (20, 30)])
def test_directions_of_no_length_are_none(shape: tuple[int, int]) -> None:
    """Of a product of thin matrices, of zeros, and of columns that repeat."""
    thin = matrix(shape[0], 3) @ matrix(3, shape[1], seed=1)
    found = svd(thin)
    assert found.rank == 3
    torch.testing.assert_close(found.product(), thin, rtol=0, atol=1e-5)
    torch.testing.assert_close(
        torch.linalg.svdvals(polar(thin)[0]), torch.tensor([1.0] * 3 + [0.0] * 17), atol=1e-5, rtol=0
    )
    assert svd(torch.zeros(shape)).rank == 0
    assert not polar(torch.zeros(shape))[0].any()
    column = matrix(shape[0], 1) / matrix(shape[0], 1).norm()
    torch.testing.assert_close(
        polar(torch.cat([column, column], dim=1))[0], torch.cat([column, column], dim=1) / 2**0.5
    )


def test_signs_and_order_are_fixed() -> None:
    """The largest element of each right vector is positive, whatever the matrix's sign; of wide ones, each left one."""
    for sign in (1, -1):
        for found in (svd(sign * matrix(30, 9)).right, svd(sign * matrix(9, 30)).left):
            assert (found.gather(0, found.abs().argmax(dim=0, keepdim=True)) > 0).all()
    values = svd(matrix(30, 9)).values
    assert (values[1:] <= values[:-1]).all()
    assert torch.equal(svd(matrix(30, 9)).top(2).values, values[:2])


def test_the_number_of_threads_does_not_matter(threads: None) -> None:
    """To the last bit, and it is what it was afterwards."""
    given, found = matrix(700, 300), []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        own = svd(given)
        found.append((own.left, own.values, own.right, *polar(given.t())))
        assert torch.get_num_threads() == count
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_the_number_of_threads_comes_back_after_an_error(threads: None) -> None:
    torch.set_num_threads(2)
    with pytest.raises(ZeroDivisionError), one_thread():
        raise ZeroDivisionError
    assert torch.get_num_threads() == 2
