"""Devices that candidates can live on."""

from __future__ import annotations

import platform

import torch

from evomerge.errors import InputError


def resolve_device(device: str, key: str = "model.device") -> str:
    """Resolves ``auto`` to a device of this machine and checks any other.

    Args:
        device: As users write it.
        key: Where they wrote it, for messages.

    Raises:
        InputError: If the device is unknown or not there.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"{key} is {device!r}; expected auto, cpu, cuda, cuda:1, ...") from error
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise InputError(f"{key} is {device!r}, but this machine has {torch.cuda.device_count()} GPUs")
    try:
        torch.ones(1, device=found).item()
    except Exception as error:  # each backend raises its own
        raise InputError(f"{key} is {device!r}, which computes nothing here: {str(error).splitlines()[0]}") from error
    return device


def computes(device: torch.device) -> bool:
    """Whether a device still does sums in this process: after some errors of CUDA it does none before a new start."""
    try:
        return torch.ones(1, device=device).item() == 1.0
    except torch.OutOfMemoryError:
        return True
    except RuntimeError:
        return False


def device_info(device: str) -> dict[str, str]:
    """Kind and name of a device, for a run's manifest."""
    kind = torch.device(device).type
    name = torch.cuda.get_device_name(device) if kind == "cuda" else (platform.processor() or platform.machine())
    return {"type": kind, "name": name}


def device_details(device: str) -> dict[str, str]:
    """The same with the instructions that sums follow from on a CPU, to tell workers apart by."""
    found = device_info(device)
    return found | ({"instructions": torch.backends.cpu.get_cpu_capability()} if found["type"] == "cpu" else {})


def thread_count() -> int:
    """Number of threads that models run with in this process."""
    return torch.get_num_threads()
