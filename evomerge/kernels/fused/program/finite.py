"""The check for NaN and infinity; see ``reference/finite.py``."""

from __future__ import annotations

import triton
import triton.language as tl

from evomerge.kernels.fused.program.steps import loaded, look


@triton.jit
def finite_kernel(tensor, flag, numel, BLOCK: tl.constexpr):
    """Lowers a flag if any element of a block is NaN or infinite."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    here = at < numel
    look(flag, loaded(tensor, at, here), here)
