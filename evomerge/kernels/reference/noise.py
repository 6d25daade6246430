"""Uniform noise without a generator: a hash of a key and an element's index.

A random mask needs neither memory nor state. It is the same on every device, in whatever order and however often it is
asked for, and a block of it costs as much as the block. Candidates of a search that differ in density only get nested
masks (an element kept at density 0.3 is kept at 0.4), which makes fitness a smoother function of density.
"""

from __future__ import annotations

import torch

from evomerge.kernels.keys import key_words

# Multipliers and shifts of the 32-bit finaliser of MurmurHash3 (Appleby 2011): every input bit reaches every output
# bit.
_MULTIPLIERS = (0x85EBCA6B, 0xC2B2AE35)
_SHIFTS = (16, 13, 16)
_WORD = (1 << 32) - 1


def uniform(key: int, span: slice, device: torch.device | str = "cpu") -> torch.Tensor:
    """Uniform numbers in [0, 1) for consecutive elements of a tensor.

    Element ``i`` goes through two rounds of a 32-bit mixing function, each keyed with one half of the key's hash; the
    upper 24 bits of the result make a float32 without rounding. The arithmetic is that of 32-bit integers with
    wrap-around, which all devices share.

    Args:
        key: 64-bit key; indices beyond 2**32 change it.
        span: Slice of element indices, which may not straddle a multiple of 2**32.
        device: Where the numbers are made.

    Returns:
        Shape ``(span.stop - span.start,)``, float32.
    """
    high, low = divmod(span.start, 1 << 32)
    if low + (span.stop - span.start) > 1 << 32:
        raise ValueError(f"elements {span.start} to {span.stop} straddle a multiple of 2**32")
    state = torch.arange(span.stop - span.start, dtype=torch.int32, device=device).add_(_signed(low))
    for word in key_words(key, high):
        state.bitwise_xor_(_signed(word))
        for shift, multiplier in zip(_SHIFTS[:2], _MULTIPLIERS, strict=True):
            state.bitwise_xor_(_shifted(state, shift)).mul_(_signed(multiplier))
        state.bitwise_xor_(_shifted(state, _SHIFTS[2]))
    return _shifted(state, 8).to(torch.float32).mul_(2.0**-24)


def _signed(word: int) -> int:
    """The 32-bit signed integer that has the same bits as an unsigned one."""
    return word - (1 << 32) if word >> 31 else word


def _shifted(words: torch.Tensor, by: int) -> torch.Tensor:
    """Logical right shift; torch's own copies the sign bit down."""
    return (words >> by).bitwise_and_(_WORD >> by)
