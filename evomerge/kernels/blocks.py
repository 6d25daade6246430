"""One pass over a tensor in blocks that fit the cache, so that no float32 copy of a whole tensor is ever made."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

# Elements per block: a float32 block is 1 MiB. A power of two, so that blocks never straddle 2**32 (see noise.py).
# Reductions run over these blocks in order; changing the size may change their last bit.
BLOCK = 1 << 18

_ROW = 1024


def spans(numel: int, block: int = BLOCK) -> Iterator[slice]:
    """Cuts ``numel`` elements into consecutive slices of at most ``block`` elements."""
    for start in range(0, numel, block):
        yield slice(start, min(start + block, numel))


def flat(tensor: torch.Tensor) -> torch.Tensor:
    """The elements of a tensor in row-major order, shape ``(numel,)``, without gradients.

    A view where the tensor is contiguous, else a copy; never to be written to.
    """
    return tensor.detach().reshape(-1)


def fill(out: torch.Tensor, compute: Callable[[slice], torch.Tensor], block: int = BLOCK) -> None:
    """Writes a tensor block by block.

    Args:
        out: Memory of any shape, strides, floating dtype and device; overwritten.
        compute: Gives the float32 values of one slice of the flattened tensor. They are rounded to ``out``'s dtype,
            to nearest with ties to even, and moved to its device.
        block: Elements per block.
    """
    target = out.detach()
    contiguous = target.is_contiguous()
    memory = target.view(-1) if contiguous else torch.empty(target.numel(), dtype=out.dtype, device=out.device)
    for span in spans(out.numel(), block):
        memory[span].copy_(compute(span))
    if not contiguous:
        target.copy_(memory.view(target.shape))


def total(values: torch.Tensor) -> float:
    """Sums one block in float64, in an order that does not depend on the number of threads.

    Args:
        values: Shape ``(n,)``, at most a few blocks long.
    """
    whole = values.numel() // _ROW * _ROW
    rows = values[:whole].view(-1, _ROW).sum(dim=1, dtype=torch.float64)
    return float(rows.sum()) + float(values[whole:].sum(dtype=torch.float64))
