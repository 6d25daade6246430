"""Columns of Parquet files from arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evomerge.executors._shared.response_table.table import Array

__all__ = ["as_array", "as_column", "by_item", "distinct", "is_truth", "known", "rounded", "widened"]


def rounded(values: Array, digits: int = 10) -> Array:
    """Values with so many binary digits, and none beyond so many after the point: errors up to 0.1 % and 0.0005."""
    fraction, exponent = np.frexp(values)
    lowest = np.maximum(exponent - digits, -digits)
    return np.ldexp(np.round(np.ldexp(fraction, exponent - lowest)), lowest)


def distinct(columns: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, str]]:
    """The metrics that are written, and for each that repeats one of them, which."""
    found: dict[str, Array] = {}
    same: dict[str, str] = {}
    for name in sorted(columns, key=lambda name: (name != "gold_logprob", name != "acc")):
        column = columns[name]
        alike = (other for other, kept in found.items() if kept is column or np.array_equal(kept, column, True))
        if (first := next(alike, None)) is not None:
            same[name] = first
        else:
            found[name] = column
    return found, same


def by_item(column: Array) -> Array:
    """Items first, then candidates."""
    return np.ascontiguousarray(np.swapaxes(column, 0, 1))


def known(column: Array) -> NDArray[np.bool_]:
    """Where there is a value, ``(items, candidates)``."""
    found: NDArray[np.bool_] = ~np.isnan(column)
    return found if found.ndim == 2 else np.asarray(found.any(axis=-1))


def is_truth(column: Array) -> bool:
    """Whether all values are 0 or 1."""
    return column.ndim == 2 and bool(np.isin(column[~np.isnan(column)], (0.0, 1.0)).all())


def as_column(values: Array, truth: bool, digits: int | None) -> pa.Array:
    """A column of numbers, truth values, or lists.

    Args:
        values: One for each row, ``(rows,)`` or ``(rows, numbers)``; NaN where there is none.
        truth: Whether they are truth values.
        digits: Binary digits that are kept, see :func:`rounded`; None for all.
    """
    kept = values if truth or digits is None else rounded(values, digits)
    if kept.ndim == 1:
        kind = pa.bool_() if truth else pa.float64() if digits is None else pa.float32()
        missing = np.isnan(kept)
        return pa.array(np.where(missing, 0.0, kept).astype(kind.to_pandas_dtype()), kind, mask=missing)
    kind = pa.float64() if digits is None else pa.float32()
    there = ~np.isnan(kept)
    offsets = np.concatenate([[0], there.sum(axis=-1).cumsum()]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(kept[there], kind))


def as_array(column: pa.Array) -> Array:
    """Values as floats, NaN for nulls; lists as rows, filled up with NaN."""
    if not pa.types.is_list(column.type):
        return column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    lengths = np.diff(column.offsets.to_numpy())
    kept = np.full((len(column), lengths.max(initial=0)), np.nan)
    kept[np.arange(kept.shape[1]) < lengths[:, None]] = column.values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return kept


def widened(values: Array, width: int) -> Array:
    """Lists of numbers filled up with NaN to so many; anything else as it is."""
    missing = width - values.shape[-1] if width else 0
    return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, missing)], constant_values=np.nan) if missing else values
