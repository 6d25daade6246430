"""Devices that candidates can live on."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable
from pathlib import Path

import torch

from evomerge.candidate.settings import RuntimeSettings
from evomerge.errors import Findings, InputError
from evomerge.merging import Spread
from evomerge.settings import parse_size


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


def gpu_count() -> int:
    """Number of GPUs that this process sees."""
    return torch.cuda.device_count()


def computes(device: torch.device) -> bool:
    """Whether a device still does sums in this process: after some errors of CUDA it does none before a new start."""
    try:
        return torch.ones(1, device=device).item() == 1.0
    except torch.OutOfMemoryError:
        return True
    except RuntimeError:
        return False


def resolve_home(settings: RuntimeSettings, *, elsewhere: bool = False) -> str:
    """The device that a model gets and gives tensors on, after a check of all that says where it lies.

    Args:
        settings: The user's.
        elsewhere: Whether models run on other machines, so that GPUs which are named need not be here.

    Raises:
        InputError: If a device is unknown or not there, or the settings do not go together; all problems.
    """
    found = Findings()
    names, auto = settings.device_map, settings.device_map == ("auto",)
    if not names or auto:
        home = found.attempt(lambda: resolve_device("auto" if auto else settings.device))
    else:
        homes = [found.attempt(lambda name=name: _one_device(name, elsewhere)) for name in names]  # type: ignore[misc]
        home = homes[0]
    if names and settings.device != "auto":
        found.problems.append("model.device and model.device_map are both set; leave one of them out")
    if len(set(names)) < len(names):
        found.problems.append(f"model.device_map names a device twice: {', '.join(names)}")
    if settings.max_memory and not names:
        found.problems.append("model.max_memory is for the devices of model.device_map, which is not set")
    limits = found.attempt(lambda: _limits(settings.max_memory)) or ()
    if names and not auto and len(limits) not in (0, 1, len(names)):
        found.problems.append(_unlike_counts(len(limits), names))
    found.settle()
    assert home is not None
    return home


def place_of(home: str, device_map: tuple[str, ...], max_memory: tuple[str, ...]) -> str | Spread:
    """Where a model lies, as it is in this process: GPUs that ``auto`` means are those that this process sees.

    Args:
        home: As :func:`resolve_home` found it.
        device_map: The user's setting.
        max_memory: The user's setting.

    Raises:
        InputError: If there are other limits than devices.
    """
    if not device_map:
        return home
    gpus = tuple(f"cuda:{index}" for index in range(torch.cuda.device_count()))
    names = device_map if device_map != ("auto",) else gpus if home.startswith("cuda") else (home,)
    limits = _limits(max_memory)
    if len(limits) not in (0, 1, len(names)):
        raise InputError(_unlike_counts(len(limits), names))
    limits = limits * len(names) if len(limits) == 1 else limits
    return Spread(names, limits) if len(names) > 1 else names[0]


def _one_device(name: str, elsewhere: bool) -> str:
    if name == "auto":
        raise InputError("model.device_map: auto stands alone; write model.device_map=auto or a list of devices")
    known = elsewhere and re.fullmatch(r"cuda(:\d+)?", name)
    return name if known else resolve_device(name, "model.device_map")


def _limits(texts: tuple[str, ...]) -> tuple[int, ...]:
    try:
        return tuple(parse_size(text) for text in texts)
    except InputError as error:
        raise InputError([f"model.max_memory: {problem}" for problem in error.problems]) from error


def _unlike_counts(count: int, names: tuple[str, ...]) -> str:
    return (
        f"model.max_memory has {count} limits, but there are {len(names)} devices ({', '.join(names)}); write one for "
        "each of them, or one that is for all"
    )


def device_info(device: str) -> dict[str, str]:
    """Kind and name of a device, for a run's manifest."""
    kind = torch.device(device).type
    name = torch.cuda.get_device_name(device) if kind == "cuda" else (platform.processor() or platform.machine())
    return {"type": kind, "name": name}


def device_rooms(names: Iterable[str]) -> dict[str, int]:
    """Bytes of memory of the GPUs among some devices, taken or not."""
    gpus = [name for name in names if torch.device(name).type == "cuda"]
    return {name: int(torch.cuda.get_device_properties(name).total_memory) for name in gpus}


def device_details(device: str) -> dict[str, str]:
    """The same with what sums follow from on a CPU, its model and instructions, to tell workers apart by."""
    found = device_info(device)
    if found["type"] != "cpu":
        return found
    return found | {"model": _processor(), "instructions": torch.backends.cpu.get_cpu_capability()}


def _processor() -> str:
    """The model of the processor; Python knows no more than its family on most systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def thread_count() -> int:
    """Number of threads that models run with in this process."""
    return torch.get_num_threads()
