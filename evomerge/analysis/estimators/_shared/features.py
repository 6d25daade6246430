"""Features of genomes."""

from __future__ import annotations

import numpy as np

from evomerge.analysis.estimators._shared.answers import Array

__all__ = ["features"]


def features(genomes: Array, known: Array | None = None) -> Array:
    """Genes and their squares, centred and scaled by those of known genomes; NaN rows stay so.

    Args:
        genomes: ``(candidates, genes)``.
        known: The genomes to scale by; all of them if None. Genes that do not vary there become 0.

    Returns:
        ``(candidates, 2 * genes)``.
    """
    both = np.concatenate([genomes, genomes**2], axis=1)
    reference = both if known is None else np.concatenate([known, known**2], axis=1)
    reference = reference[~np.isnan(reference).any(axis=1)]
    if len(reference) == 0:
        return both
    spread = reference.std(axis=0)
    return (both - reference.mean(axis=0)) * np.where(spread > 1e-9, 1.0 / np.maximum(spread, 1e-9), 0.0)
