"""Memory that objectives of interference, their spectra and descents take, in bytes, from shapes alone.

Sums of what is held at once: the objective throughout, in float64, and the most of what its making and its use add.
"""

from __future__ import annotations

from collections.abc import Sequence

from evomerge.methods._shared.inputs import Options
from evomerge.methods._shared.matrices import blocks_bytes


def objective_bytes(shape: Sequence[int], n_models: int, inner: int) -> int:
    """An objective: maps, a basis where there is one, and the curvature.

    Args:
        shape: Outputs and inputs of the matrix.
        n_models: Number of models.
        inner: Dimensions of the space that it lies in.
    """
    width = shape[1]
    return 8 * (inner * width * (n_models + (inner < width)) + inner**2)


def interference_bytes(shape: Sequence[int], n_models: int) -> int:
    """The most that the making of the objective on whole deltas takes: Gram matrices twice, sums, and a basis."""
    height, width = shape
    inner = min(n_models * height, width)
    making = 8 * (inner * width * (n_models + 3) + 2 * inner**2) + blocks_bytes(shape, n_models)
    return objective_bytes(shape, n_models, inner) + making


def truncated_bytes(shape: Sequence[int], n_models: int, rank: int) -> int:
    """The most that the making of the objective of low rank takes: singular vectors, their basis, and centred maps."""
    height, width = shape
    inner = min(n_models * rank, width)
    most = max(
        4 * height * width + 4 * min(shape) ** 2 + 3 * rank * width,
        3 * inner * width + 2 * inner**2,
        (n_models + 3) * height * width,
        (3 * n_models + 1) * inner * width,
    )
    return objective_bytes(shape, n_models, inner) + 8 * (2 * n_models * rank * width + most)


def spectrum_scratch(shape: Sequence[int], n_models: int, inner: int) -> int:
    """The most that an objective, its eigenvectors and what lies along them take."""
    height, width = shape
    eigen = 3 * inner**2 + inner * width
    along = inner * width * (n_models + 2) + 4 * height * inner
    return objective_bytes(shape, n_models, inner) + max(8 * eigen, 8 * along + blocks_bytes(shape, n_models))


def descent_bytes(shape: Sequence[int], n_models: int, inner: int, options: Options) -> int:
    """The most that an objective and a descent on it take."""
    height, width = shape
    if options["optimiser"] != "adam":
        return spectrum_scratch(shape, n_models, inner) + 32 * height * width
    whole = 20 * (width**2 + height * width) + 8 * inner * width + 32 * height * width
    return objective_bytes(shape, n_models, inner) + whole + blocks_bytes(shape, n_models)
