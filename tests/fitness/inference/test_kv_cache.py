"""A model takes its cache under the name that its own code gives it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from transformers import Cache

from evomerge.fitness.inference.kv_cache import cache_argument


def _renamed(input_ids: Any, keys_and_values: Cache | None = None) -> None: ...


def _old(input_ids: Any, past_key_values: Any = None, cache_position: Any = None) -> None: ...


def _new(input_ids: Any, use_cache: Any = None, cache: Any = None, **kwargs: Any) -> None: ...


def _none(input_ids: Any, use_cache: Any = None, **kwargs: Any) -> None: ...


@pytest.mark.parametrize(
    ("forward", "name"), [(_old, "past_key_values"), (_new, "cache"), (_renamed, "keys_and_values"), (_none, None)]
)
def test_the_cache_is_found_under_any_name(forward: Callable[..., Any], name: str | None) -> None:
    assert cache_argument(forward) == name
