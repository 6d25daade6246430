"""A factor of the merged delta."""

from __future__ import annotations

import torch

from evomerge import post
from evomerge.methods import TensorSources
from evomerge.post import StepContext

STEP = post.load("scale")


def test_by_hand() -> None:
    delta = torch.tensor([2.0, -4.0])
    assert STEP.apply(StepContext("x"), TensorSources(torch.zeros(2), [], {}), delta, {"factor": 0.25}) is None
    assert delta.tolist() == [0.5, -1.0]
