"""Genomes that leave the unit cube, reflected at its faces."""

from __future__ import annotations

import numpy as np

from evomerge.search.searchers._shared.protocol import Array

__all__ = ["reflected"]


def reflected(x: Array) -> Array:
    """The same genes in [0, 1]: what goes beyond a face comes back by as much."""
    folded = np.mod(x, 2.0)
    return np.clip(np.where(folded > 1.0, 2.0 - folded, folded), 0.0, 1.0)
