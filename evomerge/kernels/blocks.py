"""Passes over a tensor in blocks that fit the cache, so that no float32 copy of a whole tensor is ever made."""

from __future__ import annotations

from collections.abc import Callable, Iterator

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
