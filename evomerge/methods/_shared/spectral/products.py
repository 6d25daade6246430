"""Products of stored vectors, as exact as what they are made of.

Vectors that are stored as float16 are rounded on to bfloat16 where that is faster: a processor that multiplies bfloat16
by itself takes less than half the time of float32. Any other product is of float32.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch

from evomerge.methods._shared.spectral.triples import fresh

# Numbers of terms are filled up to a multiple with zeros: every other number costs its compilation, once.
_TERMS = 16


def factor_dtype(stored: str, device: torch.device) -> torch.dtype:
    """Type of the factors of a product.

    Args:
        stored: Type that they are stored in; who stores float32 wants no other.
        device: Where they are multiplied.
    """
    coarse = stored == "float16" and device.type == "cpu" and multiplies_bfloat16()
    return torch.bfloat16 if coarse else torch.float32


@functools.cache
def multiplies_bfloat16() -> bool:
    """Whether this processor has instructions that multiply bfloat16."""
    ask = getattr(torch.cpu, "get_capabilities", None)  # not in every torch that is supported
    found = ask() if ask else {}
    return any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def factors(parts: Sequence[torch.Tensor], dtype: torch.dtype) -> torch.Tensor:
    """Rows of several parts as one factor of a product, in memory of its own: how that is aligned decides on bits.

    Args:
        parts: Vectors as rows, all of the same length.
        dtype: See :func:`factor_dtype`; in bfloat16 rows of zeros follow.
    """
    if dtype == torch.float32:
        return fresh(torch.cat(list(parts)))
    missing = -sum(map(len, parts)) % _TERMS
    zeros = parts[0].new_zeros(missing, parts[0].shape[1])
    return torch.cat([*parts, zeros]).to(torch.float32).to(dtype)  # two steps are faster than one
