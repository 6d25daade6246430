"""The merge of one tensor with the options of a method that differ from its defaults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from evomerge import methods
from evomerge.contracts.method_cases import CONTEXT, merge_tensor
from evomerge.methods import Statistics

Variant = tuple[str, tuple[tuple[str, Any], ...]]


def merge(
    variant: Variant, models: Sequence[torch.Tensor], base: torch.Tensor | None, coefficients: Any, **other: Any
) -> torch.Tensor:
    """See :func:`evomerge.contracts.method_cases.merge_tensor`."""
    method = methods.load(variant[0])
    return merge_tensor(method, method.resolve(dict(variant[1])), (base, models), coefficients, **other)


def merge_given(
    variant: Variant,
    models: Sequence[torch.Tensor],
    base: torch.Tensor | None,
    coefficients: Any,
    statistics: Statistics,
) -> torch.Tensor:
    """Merges the only tensor of a model with statistics that are given."""
    method = methods.load(variant[0])
    options, out = method.resolve(dict(variant[1])), torch.full(models[0].shape, torch.nan)
    sources = method.sources(CONTEXT, base, models, options, statistics)
    if method.survey is not None:
        sources = replace(sources, survey=method.survey([(CONTEXT, sources)], options))
    method.merge(CONTEXT, sources, coefficients, out)
    return out
