"""The study of choosing finalists: a few repeats over a recorded table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evomerge.executors._shared.response_table import read_table
from experiments.promotion.study import ALL, SHORTLIST, page, recorded, regrets, shortlist

TABLE = Path(__file__).parents[2] / "experiments" / "responses" / "example_0"


@pytest.mark.slow
def test_a_small_study() -> None:
    data = recorded(read_table(TABLE), "exam_a")
    assert len(data.recipes) == 254
    listed = shortlist(data, np.random.default_rng(0))
    assert len(set(listed.tolist())) == SHORTLIST
    assert min(listed) >= len(data.plan.baselines), "baselines are no candidates"
    found = regrets(data, 3, 0)
    assert all(len(own) == 3 and min(own) >= 0.0 for own in found.values())
    assert found == regrets(data, 3, 0), "the same again"
    written = page({"exam_a": found}, 3)
    assert f"| {ALL} | {np.mean(found[ALL]):.2f} |" in written
