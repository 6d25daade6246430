"""ASWUDI, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from evomerge.methods.aswudi import hard_threshold, rank_of
from tests.methods.one_tensor import merge
from tests.methods.test_swudi import DELTAS, between

SPECTRUM = torch.tensor([4.0, 1.0, 1.0, 1.0], dtype=torch.float64)


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ("participation_sqrt", 4),  # 5^2 / 7 = 3.6
        ("participation", 3),  # 7^2 / 19 = 2.6
        ("stable_rank", 2),  # 19 / 16
        ("entropy", 4),  # exp(1.154) = 3.2
        ("gavish_donoho", 1),  # roots are 2, 1, 1, 1; the threshold is 1.2 times their median
        ("cumulative", 3),  # 4, 5, 6 of 7
        ("all", 4),
    ],
)
def test_numbers_of_directions(rule: str, wanted: int) -> None:
    assert rank_of(SPECTRUM, (4, 4), rule, 0.8) == wanted


def test_thresholds_by_the_shape_of_the_matrix() -> None:
    assert hard_threshold(1.0) == pytest.approx(math.sqrt(16 / 3) / math.sqrt(2 + math.sqrt(3)))
    wanted = math.sqrt(3 + 4 / (1.5 + math.sqrt(8.25)))  # of half as many rows as columns
    assert hard_threshold(0.5) == pytest.approx(wanted / math.sqrt(0.75))


def test_directions_that_count_go_to_the_optimum() -> None:
    def merged(values: dict[str, float], **options: str) -> torch.Tensor:
        given = {"lambda": 1.0, "start": 1.0, "rank_scale": 1.0, **values}
        return merge(("aswudi", tuple(options.items())), DELTAS, torch.zeros(2, 2), given)

    # Eigenvalues are 1.1 and 0.9, so that by all rules but one both count.
    torch.testing.assert_close(merged({}), between(1.0, 1.0))
    torch.testing.assert_close(merged({"rank_scale": 0.5}), between(1.0, 0.0))
    torch.testing.assert_close(merged({"rank_scale": 0.0, "start": 0.5}), between(1.0, 0.0, start=0.5))
    stopped = (1 - math.exp(-2 * 1.1), 1 - math.exp(-2 * 0.9))
    torch.testing.assert_close(merged({"log_t": math.log10(2)}, filter="exponential"), between(*stopped))
