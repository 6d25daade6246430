"""Where a tensor on disk lies in the memory of a model, row by row, and which products with that memory are its own.

A model may keep several tensors of a checkpoint in one parameter, such as all experts of a layer, and one tensor in
several. A product with a part of a parameter (a projection by one expert) is then a product with those tensors whose
elements are in that part, told by their addresses alone: names and classes of modules do not matter.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch

from evomerge.merging import Piece

Shape = tuple[int, ...]


def storage_of(tensor: torch.Tensor) -> int:
    """A number of a tensor's memory that others do not have while it lives; meta tensors have one as well."""
    return int(tensor.untyped_storage()._cdata)


@dataclass(frozen=True)
class Product:
    """A matrix in a parameter's memory that inputs are multiplied with.

    Attributes:
        storage: The memory, see :func:`storage_of`.
        offset: Of its first element, in elements.
        outputs: Number of output channels.
        inputs: Number of input channels.
        output_step: Elements from one output channel to the next.
        input_step: Elements from one input channel to the next.
    """

    storage: int
    offset: int
    outputs: int
    inputs: int
    output_step: int
    input_step: int

    @classmethod
    def of(cls, matrix: torch.Tensor, *, transposed: bool = False) -> Self:
        """The product with a matrix ``(outputs, inputs)``, or ``(inputs, outputs)`` where it is transposed."""
        own = matrix.t() if transposed else matrix
        return cls(storage_of(own), int(own.storage_offset()), *own.shape, *own.stride())


@dataclass(frozen=True)
class Part:
    """Rows of a matrix on disk that lie in one storage.

    Attributes:
        storage: The memory.
        rows: Which rows they are, ``(rows,)``.
        starts: Where each begins there, in elements, ``(rows,)``.
        step: Elements from one column to the next.
    """

    storage: int
    rows: np.ndarray
    starts: np.ndarray
    step: int


@dataclass(frozen=True)
class Match:
    """A product of which a part of a matrix on disk is the weight.

    Attributes:
        channels: The output channels of the product that belong to it, in the order of its own.
        axis: The axis of the matrix on disk that runs over input channels.
    """

    channels: np.ndarray
    axis: int


def parts_of(shape: Shape, pieces: Sequence[Piece], state: Mapping[str, torch.Tensor]) -> tuple[Part, ...]:
    """The rows of a matrix on disk, as they lie in a model.

    Args:
        shape: Of the matrix.
        pieces: Where its elements go.
        state: The model's parameters and buffers by name.

    Returns:
        None at all where columns are not kept together in their order.
    """
    if len(shape) != 2:
        return ()
    found: list[Part] = []
    for piece in pieces:
        rows = _rows(piece, shape[1])
        if rows is None:
            return ()
        target = state[piece.target]
        source, destination, step = rows
        found.append(Part(storage_of(target), source, destination + target.storage_offset(), step))
    return tuple(found)


def _rows(piece: Piece, columns: int) -> tuple[np.ndarray, np.ndarray, int] | None:
    """Rows of the matrix, where each begins in the parameter, and the step from column to column there."""
    sizes, source, destination = _split(piece, columns)
    if sizes[-1] != columns or (columns > 1 and source[-1] != 1) or piece.source.offset % columns:
        return None
    first = np.full(math.prod(sizes[:-1]), piece.source.offset, dtype=np.int64)
    start = np.full(math.prod(sizes[:-1]), piece.destination.offset, dtype=np.int64)
    outer = [np.arange(size, dtype=np.int64) for size in sizes[:-1]]
    for index, (here, there) in zip(
        np.meshgrid(*outer, indexing="ij"), itertools.zip_longest(source[:-1], destination[:-1]), strict=True
    ):
        first += index.ravel() * here
        start += index.ravel() * there
    if (first % columns).any():
        return None
    return first // columns, start, destination[-1]


def _split(piece: Piece, columns: int) -> tuple[Shape, Shape, Shape]:
    """Sizes and strides of a piece, whose last dimension is one row where several rows are one stretch."""
    sizes, source, destination = piece.sizes, piece.source.strides, piece.destination.strides
    length = sizes[-1]
    if columns and length > columns and length % columns == 0 and source[-1] == 1:
        outer = (source[-1] * columns,), (destination[-1] * columns,)
        sizes = (*sizes[:-1], length // columns, columns)
        source = (*source[:-1], *outer[0], source[-1])
        destination = (*destination[:-1], *outer[1], destination[-1])
    if len(sizes) == 1:
        return (1, *sizes), (0, *source), (0, *destination)
    return sizes, source, destination


def match(product: Product, part: Part, shape: Shape) -> Match | None:
    """The part that a matrix on disk has in a product; None if it has none, or its rows are not whole there.

    Args:
        product: The product.
        part: Rows of the matrix.
        shape: Of the matrix.
    """
    if product.storage != part.storage:
        return None
    if shape[1] == product.inputs and (part.step == product.input_step or shape[1] == 1):
        away = part.starts - product.offset
        channels = away // max(product.output_step, 1)
        inside = (channels >= 0) & (channels < product.outputs) & (away % max(product.output_step, 1) == 0)
        if inside.all():
            return Match(channels, axis=1)
    # Stored as (inputs, outputs): each row is an input channel.
    wanted = product.offset + np.arange(product.inputs, dtype=np.int64) * product.input_step
    turned = shape == (product.inputs, product.outputs) and part.step == product.output_step
    if turned and np.array_equal(part.starts, wanted):
        return Match(np.arange(product.outputs), axis=0)
    return None
