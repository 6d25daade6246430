"""How models are run is found out once, and then belongs to the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from evomerge.candidate import resolve_dtype
from evomerge.candidate.tuning import width
from evomerge.checkpoints import Checkpoint
from tests.building import tiny


@pytest.mark.parametrize(
    ("stored", "hidden", "device", "expected"),
    [
        (torch.float32, 512, "cpu", {"float32"}),
        (torch.float16, 512, "cpu", {"float32"}),
        (torch.bfloat16, 16, "cpu", {"float32"}),
        (torch.bfloat16, 512, "cpu", {"float32", "bfloat16"}),  # whichever this machine is fast at
        (torch.bfloat16, 16, "cuda", {"bfloat16"}),
        (torch.float16, 16, "cuda", {"float16"}),
        (torch.float32, 16, "cuda", {"float32"}),
    ],
)
def test_the_number_type_follows_weights_and_machine(
    tmp_path: Path, stored: torch.dtype, hidden: int, device: str, expected: set[str]
) -> None:
    changes: dict[str, Any] = {"hidden_size": hidden, "head_dim": 4}
    reference = Checkpoint.open(tiny("llama", tmp_path, 0, dtype=stored, **changes))
    assert width(reference) == hidden
    assert resolve_dtype("auto", reference, device) in expected
    assert resolve_dtype("float16", reference, device) == "float16"
