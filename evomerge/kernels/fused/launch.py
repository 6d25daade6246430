"""Launches span by span: positions inside one fit 32 bits, and none straddles 2**32 (``reference/noise.py``)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from evomerge.kernels.blocks import spans

SPAN = 1 << 30
BLOCK = 1 << 10
WORD = 1 << 32


def launches(numel: int, device: torch.device) -> Iterator[tuple[slice, tuple[int]]]:
    """The spans of so many elements, each with its number of blocks; the device is meanwhile the current one."""
    with _current(device):
        for span in spans(numel, SPAN):
            yield span, (-(-(span.stop - span.start) // BLOCK),)


def part(tensor: torch.Tensor, span: slice) -> torch.Tensor:
    """A span of a flat tensor."""
    if not tensor.is_contiguous():
        raise ValueError("expected contiguous memory")
    return tensor if span.stop - span.start == tensor.numel() else tensor[span]


def packed(word: int) -> int:
    """A 32-bit integer inside one of 64 bits that is neither 1 nor a multiple of 16.

    Triton compiles a kernel anew for integers that are, and for those that outgrow 32 bits; coefficients give any.
    """
    return ((word % WORD) << 5) + (1 << 40) + 2


def signed(word: int) -> int:
    """The 32-bit signed integer that has the same bits as an unsigned one."""
    return word - WORD if word >> 31 else word


@contextlib.contextmanager
def _current(device: torch.device) -> Iterator[None]:
    """Makes a device the one that kernels are launched on."""
    if device.type != "cuda" or device.index in (None, torch.cuda.current_device()):
        yield
    else:
        with torch.cuda.device(device):
            yield
