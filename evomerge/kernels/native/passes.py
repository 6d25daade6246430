"""Runs passes of the library on ``torch.get_num_threads()`` threads, on which no result depends."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from typing import Any

import torch

from evomerge.kernels.blocks import CHUNK
from evomerge.kernels.native import library


def run(name: str, job: ctypes.Structure, numel: int) -> None:
    """Calls a pass from as many threads as there are chunks for, all with one job."""
    run_each(name, [job] * threads_for(numel))


def run_each(name: str, jobs: Sequence[ctypes.Structure]) -> None:
    """Calls a pass from as many threads as there are jobs, each with its own."""
    addresses = (ctypes.c_void_p * len(jobs))(*map(ctypes.addressof, jobs))
    function("evomerge_run")(_address(name), addresses, len(jobs))


def threads_for(numel: int) -> int:
    """Number of threads for a pass over so many elements."""
    return max(1, min(torch.get_num_threads(), chunks_of(numel)))


def chunks_of(numel: int) -> int:
    """Number of chunks of so many elements."""
    return -(-numel // CHUNK)


@functools.cache
def function(name: str, result: Any = None) -> Any:
    """A function of the library."""
    found = getattr(library.load().handle, name)
    found.restype = result
    return found


@functools.cache
def _address(name: str) -> ctypes.c_void_p:
    return ctypes.cast(function(name), ctypes.c_void_p)
