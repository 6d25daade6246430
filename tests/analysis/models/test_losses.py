"""Weights from losses, worked out by hand."""

from __future__ import annotations

import math

import pytest

from evomerge.analysis import loss_weights
from evomerge.errors import InputError


def test_half_the_odds_for_each_temperature_of_loss_times_log_two() -> None:
    """Losses that differ by ``temperature * log 2`` have weights 2 to 1: here 4, 2, 1 sevenths."""
    step = 5.0 * math.log(2.0)
    assert loss_weights([1.0, 1.0 + step, 1.0 + 2 * step]) == pytest.approx((4 / 7, 2 / 7, 1 / 7))
    assert loss_weights([1.0, 1.0 + math.log(2.0)], 1.0) == pytest.approx((2 / 3, 1 / 3))


def test_the_target_has_its_share_and_the_others_share_the_rest() -> None:
    step = 5.0 * math.log(2.0)
    assert loss_weights([9.0, 1.0, 1.0 + step], target=0) == pytest.approx((1 / 2, 1 / 3, 1 / 6))
    assert loss_weights([9.0, 1.0], target=1, share=0.75) == (0.25, 0.75)


def test_extreme_losses_and_temperatures_have_weights() -> None:
    assert loss_weights([3.0]) == (1.0,)
    assert loss_weights([1e308, -1e308, 0.0], 1e-3) == (0.0, 1.0, 0.0)
    assert loss_weights([1.0, 7.0], 1e12) == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([],), "losses: expected one finite number per model"),
        (([1.0, math.nan],), "losses"),
        (([1.0, 2.0], 0.0), "temperature: expected a number above 0, got 0.0"),
        (([1.0, 2.0], 5.0, 2), "target: expected the position of one of at least two models, got 2 of 2"),
        (([1.0, 2.0], 5.0, 0, 1.5), "share: expected a number from 0 to 1"),
    ],
)
def test_what_has_no_weights_is_refused(arguments: tuple[object, ...], words: str) -> None:
    losses, *more = arguments
    given = dict(zip(("temperature", "target", "share"), more, strict=False))
    with pytest.raises(InputError, match=words):
        loss_weights(losses, **given)  # type: ignore[arg-type]
