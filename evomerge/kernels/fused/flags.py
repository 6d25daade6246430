"""Flags on a device: kernels lower them, and they are read when somebody asks."""

from __future__ import annotations

import threading

import torch

_AT_ONCE = 1 << 10
# From one flag to the next: Triton compiles a kernel anew for addresses that are no multiples of 16 bytes.
_APART = 4


class _Pools(threading.local):
    """Flags that nobody has yet, by device and stream, each thread's own."""

    def __init__(self) -> None:
        self.flags: dict[tuple[str, int], list[torch.Tensor]] = {}


_POOLS = _Pools()


def raised(device: torch.device) -> torch.Tensor:
    """A new flag that is raised, int32 without dimensions, for the current stream.

    Memory for many is filled at once, so that a flag costs no launch.
    """
    stream = torch.cuda.current_stream(device).cuda_stream if device.type == "cuda" else 0
    pool = _POOLS.flags.setdefault((str(device), stream), [])
    if not pool:
        pool.extend(torch.ones(_AT_ONCE, _APART, dtype=torch.int32, device=device)[:, 0].unbind())
    return pool.pop()
