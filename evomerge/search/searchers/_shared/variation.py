"""Variation: options of simulated binary crossover and polynomial mutation (Deb & Agrawal 1995), and reflection."""

from __future__ import annotations

import numpy as np

from evomerge.options import Option
from evomerge.search.searchers._shared.protocol import Array

__all__ = ["VARIATION", "reflected"]

VARIATION = {
    "crossover_probability": Option(0.9, None, float, "probability that two parents are crossed", 0.0, 1.0),
    "crossover_eta": Option(15.0, None, float, "distribution index; larger keeps children near parents", 0.0, 1000.0),
    "mutation_probability": Option(0.9, None, float, "probability that a child is mutated", 0.0, 1.0),
    "mutation_eta": Option(20.0, None, float, "distribution index; larger mutates by less", 0.0, 1000.0),
}


def reflected(x: Array) -> Array:
    """Genes in [0, 1]: what goes beyond a face of the unit cube comes back by as much."""
    folded = np.mod(x, 2.0)
    return np.clip(np.where(folded > 1.0, 2.0 - folded, folded), 0.0, 1.0)
