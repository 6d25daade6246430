"""The merge of one tensor with the options of a method that differ from its defaults."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from evomerge import methods
from evomerge.contracts.method_cases import merge_tensor

Variant = tuple[str, tuple[tuple[str, Any], ...]]


def merge(
    variant: Variant, models: Sequence[torch.Tensor], base: torch.Tensor | None, coefficients: Any, **other: Any
) -> torch.Tensor:
    """See :func:`evomerge.contracts.method_cases.merge_tensor`."""
    method = methods.load(variant[0])
    return merge_tensor(method, method.resolve(dict(variant[1])), (base, models), coefficients, **other)
