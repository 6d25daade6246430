"""Computations that jump: where rounding may lead layers to another expert, answers differ by more than rounding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

# Their results jump where numbers that are nearly equal change places: routers choose experts so.
_JUMPING = frozenset({"topk", "sort", "argsort", "msort", "argmax", "argmin", "kthvalue", "round"})


class Jumps(TorchFunctionMode):
    """A context that notes which functions whose results jump are called with floating-point numbers.

    Attributes:
        found: Their names.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: set[str] = set()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Calls a function of PyTorch."""
        given = [value for value in (*args, *(kwargs or {}).values()) if isinstance(value, torch.Tensor)]
        if getattr(func, "__name__", "") in _JUMPING and any(value.is_floating_point() for value in given):
            self.found.add(func.__name__)
        return func(*args, **(kwargs or {}))
