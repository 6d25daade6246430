"""By how many points more texts differ, from counts item by item."""

from __future__ import annotations

from experiments.generation.rounding import points


def test_merges_of_one_type_are_pooled_for_each_kind_of_batches() -> None:
    """40 and 20 of 200 items: +10 points, with the variance of paired differences."""
    pairs = (("bfloat16", [30, 10]), ("bfloat16", [10, 10]), ("float32", [0, 0]))
    counts = [(dtype, {"drafts": {"alike": pair, "mixed": [0, 0]}}) for dtype, pair in pairs]
    measured = [{"dtype": dtype, "items": 100, "differ alone, batches differ alone": one} for dtype, one in counts]
    level = [0.0, 0.0, 0.0]
    assert points(measured) == {
        "bfloat16": {"drafts": {"alike": [10.0, 2.5, 17.5], "mixed": level}},
        "float32": {"drafts": {"alike": level, "mixed": level}},
    }
