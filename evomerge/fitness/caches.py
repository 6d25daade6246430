"""Keys and values of tokens that many sequences begin with."""

from __future__ import annotations

from typing import cast

from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer


def expanded(cache: DynamicCache, rows: int) -> DynamicCache:
    """A copy of the keys and values of one sequence, for each of several rows that go on from it."""
    copy = DynamicCache()
    for index, layer in enumerate(cache.layers):
        keys, values = cast(DynamicLayer, layer).keys, cast(DynamicLayer, layer).values
        assert keys is not None
        assert values is not None
        copy.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), index)
    return copy
