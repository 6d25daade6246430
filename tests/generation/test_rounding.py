"""By how many points more texts differ, from counts item by item."""

from __future__ import annotations

from experiments.generation.rounding import points


def test_merges_of_one_type_are_pooled() -> None:
    """40 and 20 of 200 items: +10 points, with the variance of paired differences."""
    measured = [
        {"dtype": dtype, "items": 100, "differ alone, batches differ alone": {"drafts": pair}}
        for dtype, pair in (("bfloat16", [30, 10]), ("bfloat16", [10, 10]), ("float32", [0, 0]))
    ]
    assert points(measured) == {"bfloat16": {"drafts": [10.0, 2.5, 17.5]}, "float32": {"drafts": [0.0, 0.0, 0.0]}}
