"""Keys and values of tokens that many sequences begin with, and what models can be told of them."""

from __future__ import annotations

import inspect
from typing import cast

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer


def takes(model: torch.nn.Module, argument: str) -> bool:
    """Whether a model's forward pass has an argument of that name."""
    return argument in inspect.signature(model.forward).parameters


def expanded(cache: DynamicCache, rows: int) -> DynamicCache:
    """A copy of the keys and values of one sequence, for each of several rows that go on from it."""
    copy = DynamicCache()
    for index, layer in enumerate(cache.layers):
        keys, values = cast(DynamicLayer, layer).keys, cast(DynamicLayer, layer).values
        assert keys is not None
        assert values is not None
        copy.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), index)
    return copy
