"""The table of candidates that decompose every matrix: of a small model, from measured seconds."""

from __future__ import annotations

import pytest

from experiments.merge_speed.bare import DECOMPOSED
from experiments.merge_speed.decomposing import measure, page


@pytest.mark.parametrize("word", list(DECOMPOSED))
def test_every_turn_is_timed(word: str) -> None:
    found = measure(word, (12, 8), turns=2)
    assert {name: len(seconds) for name, seconds in found.items()} == {"ours": 2, "bare": 2}


def test_a_model_has_as_many_of_a_shape() -> None:
    """The least of the turns, each shape as often as it occurs."""
    own = [
        {"shape": (8, 4), "count": 3, "ours": [2.0, 1.5], "bare": [1.0, 1.2]},
        {"shape": (4, 4), "count": 1, "ours": [0.5], "bare": [1.0, 2.0]},
    ]
    about = {"size": "tiny", "date": "2026-11-28", "machine": "one", "torch": "2", "turns": 2}
    lines = page({**about, "methods": {"iso_c:weights=searched": own}}).splitlines()
    assert lines[-3:] == [
        "| `iso_c:weights=searched` | 8 x 4 | 3 | 1.5 | 1 | 1.50 |",
        "| `iso_c:weights=searched` | 4 x 4 | 1 | 0.5 | 1 | 0.50 |",
        "| `iso_c:weights=searched` | **whole model** | 4 | 5 | 4 | 1.25 |",
    ]
