"""The GPUs of this machine, by the names that ``CUDA_VISIBLE_DEVICES`` takes; found without a library that computes."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping, Sequence

__all__ = ["VARIABLE", "grouped", "named", "visible"]

VARIABLE = "CUDA_VISIBLE_DEVICES"


def visible(device: str) -> tuple[str, ...]:
    """The GPUs that workers are spread over.

    Args:
        device: Where models run. ``cuda`` is every GPU that this process may see; one that is named, such as
            ``cuda:1``, is for all workers, and there is nothing to be spread.
    """
    return named(_count(), os.environ) if device == "cuda" else ()


def named(count: int, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the first ``count`` GPUs: numbers, or what the environment itself names, such as parts of a GPU."""
    given = environment.get(VARIABLE)
    names = range(count) if given is None else [name.strip() for name in given.split(",")]
    return tuple(map(str, names))[:count]


def grouped(names: Sequence[str], size: int) -> tuple[str, ...]:
    """The GPUs that each worker sees: so many, one after the other; all of them where there are fewer."""
    if len(names) <= size:
        return (",".join(names),) if names else ()
    return tuple(",".join(names[start : start + size]) for start in range(0, len(names) - size + 1, size))


def _count() -> int:
    """The number of GPUs that the driver grants this process; 0 where there is no driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value
