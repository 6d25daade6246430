"""Judges several items at a time, as answers that are run spend their time in processes of their own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

S = TypeVar("S")
T = TypeVar("T")


def in_order(function: Callable[[S], T], values: Sequence[S]) -> list[T]:
    """A function's results, in the order of its values; as many are worked out at a time as a worker has threads.

    Args:
        function: Of a value; what it raises is raised here.
        values: What to call it with.
    """
    torch: Any = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch is not None else 1
    if threads <= 1 or len(values) <= 1:
        return [function(value) for value in values]
    with ThreadPoolExecutor(min(threads, len(values))) as pool:
        return list(pool.map(function, values))
