"""Shares of layers in a fusion, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evomerge.analysis import fusion_ratio
from evomerge.errors import InputError

ALIKE = np.array([[1.0, 0.2, 0.0], [0.2, 1.0, 0.6], [0.0, 0.6, 1.0]])


def test_the_share_is_the_sigmoid_of_the_part_in_the_similarity() -> None:
    """Rows sum to 1.2, 1.8 and 1.6: layer 0 has 0.4 of the similarity of layers 0 and 1."""
    assert fusion_ratio(ALIKE, (0, 1)) == pytest.approx(1 / (1 + math.exp(-0.4)))
    assert fusion_ratio(ALIKE, (1, 0)) == pytest.approx(1 / (1 + math.exp(-0.6)))
    assert fusion_ratio(ALIKE, (0, 1), beta=10.0) == pytest.approx(1 / (1 + math.exp(-4)))
    assert fusion_ratio(ALIKE, (1, 2), beta=0.0) == 0.5


@pytest.mark.parametrize(
    ("similarities", "pair", "words"),
    [
        (ALIKE[:2], (0, 1), r"expected a square matrix .* got shape \[2, 3\]"),
        (ALIKE * np.nan, (0, 1), "finite"),
        (ALIKE, (2, 3), r"pair: expected two of the layers 0 to 2, got \[2, 3\]"),
        (ALIKE * 0, (0, 1), "expected layers 0 and 1 to have a positive sum, got 0"),
    ],
)
def test_what_has_no_share_is_refused(similarities: np.ndarray, pair: tuple[int, int], words: str) -> None:
    with pytest.raises(InputError, match=words):
        fusion_ratio(similarities, pair)
