"""The non-dominated set of points that arrive one after the other."""

from __future__ import annotations

from typing import Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Archive"]

Key = TypeVar("Key")


class Archive(Generic[Key]):
    """An unbounded Pareto archive; every objective is minimised.

    Its members are at any time exactly those that `non_dominated` marks among all points added so far: equal points
    stay together. One point costs a comparison with the members, not with all points.

    Args:
        n_obj: Number of objectives, 1 or more.

    Raises:
        ValueError: if there is no objective.
    """

    def __init__(self, n_obj: int) -> None:
        if n_obj < 1:
            raise ValueError(f"expected at least one objective, got {n_obj}")
        self._points: NDArray[np.float64] = np.empty((0, n_obj))
        self._keys: list[Key] = []

    def __len__(self) -> int:
        """Number of members."""
        return len(self._keys)

    @property
    def points(self) -> NDArray[np.float64]:
        """Objective values of the members in the order in which they were added, ``(members, n_obj)``; a copy."""
        return self._points.copy()

    @property
    def keys(self) -> list[Key]:
        """Keys of the members in the order in which they were added."""
        return list(self._keys)

    @property
    def ideal(self) -> NDArray[np.float64] | None:
        """The best value of each objective among all points added, ``(n_obj,)``; None while there is no point."""
        return self._points.min(axis=0) if len(self._keys) else None

    def add(self, point: ArrayLike, key: Key) -> bool:
        """Adds a point; members that it dominates leave.

        Args:
            point: Objective values to minimise, ``(n_obj,)``.
            key: What the point belongs to.

        Returns:
            Whether the archive improved: no member was at least as good in every objective. A point that equals a
            member becomes a member but improves nothing.

        Raises:
            ValueError: if the point has another shape or holds a value that is not finite.
        """
        row = np.asarray(point, dtype=np.float64)
        if row.shape != self._points.shape[1:] or not np.isfinite(row).all():
            raise ValueError(f"expected {self._points.shape[1]} finite objective values, got {row.tolist()}")
        covers = (self._points <= row).all(axis=1)
        if covers.any():
            if (self._points[covers] == row).all():
                self._append(row, key)
            return False
        dominated = np.asarray((self._points >= row).all(axis=1))
        if dominated.any():
            self._points = self._points[~dominated]
            self._keys = [kept for kept, leaves in zip(self._keys, dominated.tolist(), strict=True) if not leaves]
        self._append(row, key)
        return True

    def _append(self, row: NDArray[np.float64], key: Key) -> None:
        self._points = np.concatenate([self._points, row[None]])
        self._keys.append(key)
