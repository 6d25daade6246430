"""KV caches of shared prefixes, and the names under which models take them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, cast

import torch
from transformers import DynamicCache, GenerationMixin
from transformers.cache_utils import DynamicLayer

# transformers 5.24 renamed ``past_key_values``; code that comes with a checkpoint may use either name.
_CACHE_NAMES = ("cache", "past_key_values")


def cache_argument(function: Callable[..., Any]) -> str | None:
    """Name under which a forward pass or a part of generation takes a KV cache.

    Args:
        function: For instance ``model.forward``.

    Returns:
        A known name, or else that of the first argument annotated as a cache; None where there is neither.
    """
    parameters = inspect.signature(function).parameters
    known = [name for name in _CACHE_NAMES if name in parameters]
    annotated = [name for name, parameter in parameters.items() if "Cache" in str(parameter.annotation)]
    return next(iter([*known, *annotated]), None)


def cache_arguments(model: torch.nn.Module, cache: DynamicCache | None) -> dict[str, Any]:
    """Arguments of a forward pass that reads and extends a cache, or has none.

    Args:
        model: A causal language model; where there is a cache it takes one, see :func:`cache_argument`.
        cache: Keys and values of what comes before; empty to have them kept.
    """
    if cache is None:
        return {"use_cache": False}
    name = cache_argument(model.forward)
    assert name is not None
    return {name: cache, "use_cache": True}


def generation_arguments(cache: DynamicCache | None) -> dict[str, Any]:
    """Arguments of ``model.generate`` that continue a cache.

    Raises:
        ValueError: If this version of transformers takes no cache that can be recognised.
    """
    if cache is None:
        return {}
    name = cache_argument(GenerationMixin.prepare_inputs_for_generation)
    if name is None:
        raise ValueError("generation takes no cache")
    return {name: cache}


def takes(model: torch.nn.Module, argument: str) -> bool:
    """True if a model's forward pass has an argument of that name."""
    return argument in inspect.signature(model.forward).parameters


def expanded(cache: DynamicCache, rows: int) -> DynamicCache:
    """A copy of a single-row cache, expanded to several rows that continue it."""
    copy = DynamicCache()
    for index, layer in enumerate(cache.layers):
        keys, values = cast(DynamicLayer, layer).keys, cast(DynamicLayer, layer).values
        assert keys is not None
        assert values is not None
        copy.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), index)
    return copy
