"""Values of metrics become JSON, and scores only where they are finite numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from evomerge.fitness.tasks.values import plain, total


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (True, 1.0),
        (3, 3.0),
        (np.float32(0.5), 0.5),
        (np.int64(2), 2.0),
        ((-1.5, 7), [-1.5, 7]),
        ((np.int64(1), np.float64(2.5)), [1, 2.5]),
        (np.array([0.25, 0.75]), [0.25, 0.75]),
        ((1, np.array([0.25, 0.75])), [1, [0.25, 0.75]]),
        ({"a": np.float64(1.0)}, {"a": 1.0}),
        ("text", "text"),
        (None, None),
    ],
)
def test_values_are_kept_as_json(value: Any, kept: Any) -> None:
    found = plain(value)
    assert found == kept
    assert type(found) is type(kept)


def test_only_finite_numbers_are_scores() -> None:
    assert total(sum, [1.0, 2.0]) == 3.0
    assert math.isnan(total(lambda values: math.exp(-values[0]), [-1e4]))
    assert math.isnan(total(lambda _: float("nan"), [1.0]))
    assert math.isnan(total(lambda _: math.inf, [1.0]))
