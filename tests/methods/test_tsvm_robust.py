"""TSV-M of clipped deltas: clipping, densities and ranks by hand, and where it is TSV-M."""

from __future__ import annotations

import pytest
import torch

from evomerge.contracts.method_cases import family
from evomerge.methods.tsvm_robust import clip, effective_density, ranks
from tests.methods.one_tensor import merge


def test_elements_far_from_the_mean_are_clipped() -> None:
    """Of 0, 0, 0, 4 the mean is 1 and the standard deviation the root of 3."""
    found = clip(torch.tensor([0.0, 0, 0, 4]), 1.0)
    torch.testing.assert_close(found, torch.tensor([0, 0, 0, 1 + 3**0.5]))
    assert clip(torch.tensor([0.0, 0, 0, 4]), 2.0)[3] == 4


def test_density_by_hand() -> None:
    """Of n elements of which k are as large and the others are zero it is k / n."""
    assert effective_density(torch.tensor([1.0, -1, 1, -1])) == 1
    assert effective_density(torch.tensor([2.0, -2, 0, 0])) == 0.5
    assert effective_density(torch.zeros(4)) == 0
    assert effective_density(torch.tensor([3.0, 1])) == pytest.approx(16 / 20)


def test_ranks_by_hand() -> None:
    assert ranks([0.5, 0.25, 0.25], 4, share=True) == [6, 3, 3]
    assert ranks([0.5, 0.25, 0.25], 12, share=False) == [12, 6, 6]
    assert ranks([0.3, 0.0], 4, share=True) == [8, 1]
    assert ranks([0.0, 0.0], 4, share=True) == [1, 1]
    assert ranks([0.1] * 3, 5 / 3 * 3, share=True) == [5, 5, 5]


def test_deltas_alike_without_outliers_are_merged_as_by_tsvm() -> None:
    base, (first, *_) = family(1, (40, 20))
    delta = (first - base).sign() * 0.5
    models = [base + delta, base + delta.roll(7, 0), base + delta.roll(5, 1)]
    point = {"lambda": 0.8}
    torch.testing.assert_close(
        merge(("tsvm_robust", ()), models, base, point), merge(("tsvm", ()), models, base, point)
    )


def test_an_outlier_has_no_direction_of_its_own() -> None:
    """A single element as large as all others together takes the first direction of TSV-M, and not of this."""
    base, models = family(2, (40, 40))
    spoiled = models[0].clone()
    spoiled[3, 5] += 10.0
    point = {"lambda": 1.0}
    plain, robust = (merge((name, ()), [spoiled, models[1]], base, point) - base for name in ("tsvm", "tsvm_robust"))
    assert plain[3, 5] > 5
    assert robust[3, 5] < 1
