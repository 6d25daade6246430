"""The trim of the merged delta."""

from __future__ import annotations

import pytest
import torch

from evomerge import post
from evomerge.methods import TensorSources
from evomerge.post import StepContext

STEP = post.load("sparsify")
DELTA = [4.0, -3.0, 2.0, -1.0]


def kept(density: float, **options: str) -> list[float]:
    delta = torch.tensor([DELTA])
    found = STEP.apply(
        StepContext("x", options=STEP.resolve(options)), TensorSources(torch.zeros(1, 4), [], {}), delta,
        {"density": density},
    )  # fmt: skip
    assert found is not None
    assert delta.tolist() == [DELTA], "what is given back is another tensor"
    return found.flatten().tolist()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [4.0, -3.0, 0.0, 0.0]),
        ({"kept": "threshold"}, [4.0, -3.0, 2.0, 0.0]),
        ({"rescale": "inverse"}, [8.0, -6.0, 0.0, 0.0]),
        ({"rescale": "l1"}, [4.0 * 10 / 7, -3.0 * 10 / 7, 0.0, 0.0]),
    ],
)
def test_half_of_four_by_hand(options: dict[str, str], expected: list[float]) -> None:
    assert kept(0.5, **options) == pytest.approx(expected)


def test_one_element_is_always_kept() -> None:
    assert kept(1e-6) == [4.0, 0.0, 0.0, 0.0]
