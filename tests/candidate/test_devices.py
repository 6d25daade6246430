"""Devices that are there, and those that are not."""

from __future__ import annotations

import pytest
import torch

from evomerge.candidate import device_info, resolve_device
from evomerge.candidate.devices import computes
from evomerge.errors import InputError


def test_auto_is_a_device_of_this_machine() -> None:
    assert torch.device(resolve_device("auto")).type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert resolve_device("cpu") == "cpu"
    assert device_info("cpu")["type"] == "cpu"


@pytest.mark.parametrize("device", ["gpu", "", "cuda:x", "nothing:0"])
def test_what_is_no_device(device: str) -> None:
    with pytest.raises(InputError, match="expected auto, cpu, cuda"):
        resolve_device(device)


def test_a_gpu_that_is_not_there() -> None:
    with pytest.raises(InputError, match=rf"this machine has {torch.cuda.device_count()} GPUs"):
        resolve_device("cuda:99")


def test_a_device_that_computes_no_more_is_told_by_trying() -> None:
    assert computes(torch.device("cpu"))
    assert not computes(torch.device("meta"))
