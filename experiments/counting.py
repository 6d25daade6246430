"""Counts what goes through a model, whoever runs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch


@dataclass
class Count:
    """What went through a model.

    Attributes:
        passes: Forward passes.
        tokens: Tokens in them, padding included.
    """

    passes: int = 0
    tokens: int = 0


@contextmanager
def counted(model: Any) -> Iterator[Count]:
    """Counts at the embeddings of tokens, which every forward pass goes through once."""
    seen = Count()

    def count(module: Any, given: Any, made: torch.Tensor) -> None:
        seen.passes += 1
        seen.tokens += made.shape[0] * made.shape[1]

    handle = model.get_input_embeddings().register_forward_hook(count)
    try:
        yield seen
    finally:
        handle.remove()
