"""Seconds that torch.linalg takes for the decompositions of one candidate, and nothing else.

A method whose weights or ranks are searched decomposes every matrix of every candidate. What it cannot save is
what these decompositions take by ``torch.linalg.svd`` in float32, of the matrices that the paper's code decomposes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

import torch

Shape = tuple[int, int]


def _sums(shape: Shape, n_models: int) -> Iterator[Shape]:
    yield shape


def _sums_and_parts(shape: Shape, n_models: int) -> Iterator[Shape]:
    rank = min(shape)
    yield from [shape] * (n_models + 1)
    yield from ((side, rank) for side in shape)


def _stacks(shape: Shape, n_models: int) -> Iterator[Shape]:
    rank = n_models * (min(shape) // n_models)
    yield from ((side, rank) for side in shape)


DECOMPOSED: Mapping[str, Callable[[Shape, int], Iterator[Shape]]] = {
    "iso_c:weights=searched": _sums,
    "iso_cts:weights=searched": _sums_and_parts,
    "tsvm:ranks=searched": _stacks,
}
"""Methods with options that decompose for each candidate: the matrices, from one tensor's shape."""


def bare_seconds(word: str, shapes: list[Shape], n_models: int, threads: int) -> float:
    """Seconds of the decompositions of one candidate.

    Args:
        word: A key of :data:`DECOMPOSED`.
        shapes: Shapes of all matrices of the model.
        n_models: Number of merged models.
        threads: Threads that torch may use.
    """
    before, total = torch.get_num_threads(), 0.0
    torch.set_num_threads(threads)
    try:
        for shape in (own for tensor in shapes for own in DECOMPOSED[word](tensor, n_models)):
            matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
            start = time.perf_counter()
            torch.linalg.svd(matrix, full_matrices=False)
            total += time.perf_counter() - start
    finally:
        torch.set_num_threads(before)
    return total
