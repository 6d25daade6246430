"""Assertions about exceptions, without pytest."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["raised"]

E = TypeVar("E", bound=Exception)


def raised(kind: type[E], call: Callable[[], object]) -> E:
    """The exception of a call that must raise it.

    Raises:
        AssertionError: If it raises nothing.
    """
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"expected {kind.__name__}, and nothing was raised")
