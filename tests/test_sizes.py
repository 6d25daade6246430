"""Sizes and times in words."""

from __future__ import annotations

import pytest

from evomerge.sizes import amount, span


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (999.6, "1 kB"),
        (999_600, "1 MB"),
        (1_500_000, "1.5 MB"),
        (999_900_000, "1 GB"),
        (13e9, "13 GB"),
        (2.5e15, "2.5e+03 TB"),
    ],
)
def test_sizes_have_three_digits_and_a_unit(count: float, text: str) -> None:
    assert amount(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0123, "0.012 s"), (7.26, "7.3 s"), (99.6, "100 s"), (150, "2 min"), (9000, "2.5 h")]
)
def test_seconds_have_the_unit_that_people_would_choose(seconds: float, text: str) -> None:
    assert span(seconds) == text
