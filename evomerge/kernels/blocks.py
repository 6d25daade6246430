"""Passes over a tensor in blocks that fit the cache, so that no float32 copy of a whole tensor is ever made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

# Elements per block: a float32 block is 1 MiB. A power of two, so that blocks never straddle 2**32 (reference/noise.py)
# and hold whole runs of sums (reference/sums.py). An accelerator wants more at once: there it is 64 MiB.
BLOCK = 1 << 18
# Elements that are counted together, and that a thread of the compiled kernels takes at once.
CHUNK = 1 << 16
_DEVICE_BLOCK = 1 << 24


def spans(numel: int, block: int = 0, *, device: torch.device | None = None) -> Iterator[slice]:
    """Cuts ``numel`` elements into consecutive slices.

    Args:
        numel: Number of elements.
        block: Largest number of elements of a slice; 0 chooses by the device.
        device: Device of the elements; None is the CPU.
    """
    block = block or (BLOCK if device is None or device.type == "cpu" else _DEVICE_BLOCK)
    for start in range(0, numel, block):
        yield slice(start, min(start + block, numel))


def flat(tensor: torch.Tensor) -> torch.Tensor:
    """The elements of a tensor in row-major order, shape ``(numel,)``, without gradients.

    A view where the tensor is contiguous, else a copy; never to be written to.
    """
    return tensor.detach().reshape(-1)


def take(tensor: torch.Tensor, indices: np.ndarray) -> torch.Tensor:
    """The elements of a flat tensor at some indices."""
    if tensor.device.type != "cpu":
        return tensor[torch.from_numpy(indices).to(tensor.device)]
    # By numpy: threads of torch that look for more work would be in the way of the next pass.
    words = tensor.detach().view({2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()]).numpy()
    return torch.from_numpy(words[indices]).view(tensor.dtype)


def fill(out: torch.Tensor, compute: Callable[[slice], torch.Tensor], block: int = 0) -> None:
    """Writes a tensor block by block.

    Args:
        out: Memory of any shape, strides, floating dtype and device; overwritten.
        compute: Gives the float32 values of one slice of the flattened tensor. They are rounded to ``out``'s dtype,
            to nearest with ties to even, and moved to its device.
        block: Elements per block, see :func:`spans`.
    """
    target = out.detach()
    contiguous = target.is_contiguous()
    memory = target.view(-1) if contiguous else torch.empty(target.numel(), dtype=out.dtype, device=out.device)
    for span in spans(out.numel(), block, device=out.device):
        memory[span].copy_(compute(span))
    if not contiguous:
        target.copy_(memory.view(target.shape))


def spread(factor: torch.Tensor, span: slice, vectors: str, width: int) -> torch.Tensor:
    """The factors of some elements, from those of their vectors.

    Args:
        factor: One factor for each vector.
        span: The elements.
        vectors: ``rows`` or ``columns``.
        width: Number of elements in a row.
    """
    count = span.stop - span.start
    if vectors == "rows":
        first, last = span.start // width, (span.stop - 1) // width
        lengths = torch.full((last - first + 1,), width, device=factor.device)
        lengths[0] -= span.start - first * width
        lengths[-1] -= (last + 1) * width - span.stop
        return factor[first : last + 1].repeat_interleave(lengths, output_size=count)
    offset = span.start % width
    if offset + count <= width:
        return factor[offset : offset + count]
    if count <= width:
        return torch.cat([factor[offset:], factor[: offset + count - width]])
    return factor.repeat(-(-(offset + count) // width))[offset : offset + count]


def channel_factors(factor: torch.Tensor, span: slice, shape: Sequence[int]) -> torch.Tensor:
    """The factors of some elements of a tensor, from those of its input channels.

    Args:
        factor: One factor for each channel, in a shape that spreads over the tensor: ``(channels,)`` along its last
            dimension, or ``(channels, 1)`` along the rows of a matrix that is stored as (inputs, outputs).
        span: The elements.
        shape: The tensor's shape.
    """
    if factor.numel() == 1:
        return factor.reshape(1)
    if factor.dim() == 1:
        return spread(factor, span, "columns", len(factor))
    return spread(factor.reshape(-1), span, "rows", shape[-1])
