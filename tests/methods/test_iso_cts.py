"""Iso-CTS: worked by hand, and numbers of directions."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from evomerge.contracts.method_cases import family
from evomerge.methods.iso_cts import counts
from tests.methods.one_tensor import Variant, merge

HALF: Variant = ("iso_cts", (("fraction", 0.5),))


def values(scale: float = 1.0, **other: Any) -> dict[str, Any]:
    return {"lambda": scale, **other}


def diagonal(*numbers: float) -> torch.Tensor:
    return torch.diag(torch.tensor(numbers, dtype=torch.float32))


def test_the_example_by_hand() -> None:
    """Four directions: two are common, and each of two experts keeps one of its own.

    The sum is diag(5, 4, 2, 1): the first two axes are common. Of the first expert's delta diag(3, 3, 2, 0) the third
    axis is left, of the second's, diag(2, 1, 0, 1), the fourth. The mean of 2, 1, 5 and 4 is 3.
    """
    base = torch.full((4, 4), 10.0)
    models = [base + diagonal(3, 3, 2, 0), base + diagonal(2, 1, 0, 1)]
    torch.testing.assert_close(merge(HALF, models, base, values()) - base, diagonal(3, 3, 3, 3))
    torch.testing.assert_close(merge(HALF, models, base, values(0.5)) - base, diagonal(1.5, 1.5, 1.5, 1.5))
    searched: Variant = ("iso_cts", (("weights", "searched"),))
    found = merge(searched, models, base, values(weight=(1.0, 1.0), fraction=0.5))
    torch.testing.assert_close(found, merge(HALF, models, base, values()))


def test_own_directions_are_those_besides_the_common_ones() -> None:
    """All are made orthogonal where they are not: the update has equal singular values, as many as there are."""
    for shape in ((37, 11), (11, 37)):
        base, models = family(3, shape)
        spectrum = torch.linalg.svdvals(merge(HALF, models, base, values()) - base)
        torch.testing.assert_close(spectrum, spectrum.mean().expand(11), rtol=1e-4, atol=0)


def test_everything_common_is_iso_c() -> None:
    base, models = family(3)
    found = merge(("iso_cts", (("fraction", 1.0),)), models, base, values())
    torch.testing.assert_close(found, merge(("iso_c", ()), models, base, values()))


@pytest.mark.parametrize(
    ("rank", "n_models", "fraction", "wanted"),
    [
        (16, 3, 0.8, (13, 1)),  # 12 common and 4 others, of which 3 can be shared out
        (16, 3, 0.5, (7, 3)),  # 8 others become 9
        (8, 3, 0.8, (2 + 3, 1)),
        (2, 3, 0.2, (2, 0)),  # two cannot be shared out among three
        (10, 2, 0.0, (0, 5)),
    ],
)
def test_own_directions_are_as_many_for_each(
    rank: int, n_models: int, fraction: float, wanted: tuple[int, int]
) -> None:
    assert counts(rank, n_models, fraction) == wanted
