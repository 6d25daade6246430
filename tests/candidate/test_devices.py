"""Devices that are there, and those that are not."""

from __future__ import annotations

import pytest
import torch

from evomerge.candidate import RuntimeSettings, device_info, place_of, resolve_device, resolve_home
from evomerge.candidate.devices import computes
from evomerge.errors import InputError
from evomerge.merging import Spread


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


def test_several_devices_are_settled_where_a_worker_is() -> None:
    assert place_of("cpu", (), ()) == "cpu"
    assert place_of("cpu", ("auto",), ("1GB",)) == "cpu", "without GPUs there is one device"
    spread = place_of("cuda:0", ("cuda:0", "cpu"), ("1GB", "2GiB"))
    assert spread == Spread(("cuda:0", "cpu"), (10**9, 2**31))
    assert place_of("cpu", ("cpu", "cuda:0"), ("1GB",)) == Spread(("cpu", "cuda:0"), (10**9, 10**9)), "one for all"
    with pytest.raises(InputError, match="has 3 limits, but there are 2 devices"):
        place_of("cpu", ("cpu", "cuda:0"), ("1GB", "1GB", "1GB"))


def test_everything_wrong_with_several_devices_is_told_at_once() -> None:
    assert resolve_home(RuntimeSettings(device_map=("cpu",))) == "cpu"
    with pytest.raises(InputError) as refused:
        resolve_home(RuntimeSettings(device="cpu", device_map=("cpu", "auto", "cpu", "gpu"), max_memory=("much",)))
    problems = "\n".join(refused.value.problems)
    for told in (
        "auto stands alone",
        "model.device_map is 'gpu'; expected",
        "model.device and model.device_map are both set",
        "names a device twice",
        "model.max_memory: 'much' is not a size",
    ):
        assert told in problems
    with pytest.raises(InputError, match=r"max_memory is for the devices"):
        resolve_home(RuntimeSettings(max_memory=("1GB",)))
