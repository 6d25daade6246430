"""Every method with the variants of it that the contract tests try, and a way to merge one tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from evomerge import methods
from evomerge.kernels import random_key

Variant = tuple[str, tuple[tuple[str, Any], ...]]


def variants() -> list[Variant]:
    """The defaults of every method, every other choice of every option alone, and all last choices together."""
    found: list[Variant] = []
    for name in methods.names():
        options = methods.load(name).options
        found.append((name, ()))
        others = {option: [c for c in o.choices or () if c != o.default] for option, o in options.items()}
        found += [(name, ((option, choice),)) for option, choices in others.items() for choice in choices]
        last = tuple((option, choices[-1]) for option, choices in others.items() if choices)
        if len(last) > 1:
            found.append((name, last))
    return found


def label(variant: Variant) -> str:
    name, options = variant
    return "-".join([name, *(f"{option}={choice}" for option, choice in options)])


def merge(
    variant: Variant,
    models: Sequence[torch.Tensor],
    base: torch.Tensor | None,
    coefficients: Any,
    *,
    keys: Sequence[int] | None = None,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    """Merges one tensor with a fresh state, in float32 unless ``out`` says otherwise."""
    method = methods.load(variant[0])
    options = method.resolve(dict(variant[1]))
    context = methods.TensorContext("x", keys=tuple(keys or (random_key(0, i, "x") for i in range(len(models)))))
    base = None if method.base == "none" else base
    sources = surveyed(method, context, method.sources(context, base, models, options))
    out = torch.full(models[0].shape, torch.nan) if out is None else out
    method.merge(context, sources, coefficients, out)
    return out


def surveyed(
    method: methods.MergeMethod, context: methods.TensorContext, sources: methods.TensorSources
) -> methods.TensorSources:
    """The sources of a model's only tensor, with a survey of it."""
    if method.survey is None:
        return sources
    return replace(sources, survey=method.survey([(context, sources)], sources.options))


def some_values(variant: Variant, n_models: int, seed: int = 0) -> dict[str, Any]:
    """Random coefficient values within the default bounds of the search; on a simplex they sum to one."""
    method = methods.load(variant[0])
    generator = torch.Generator().manual_seed(seed)
    values: dict[str, Any] = {}
    for coefficient in method.coefficients(method.resolve(dict(variant[1]))):
        span = coefficient.high - coefficient.low
        drawn = [coefficient.low + span * x for x in torch.rand(n_models, generator=generator).tolist()]
        if coefficient.simplex:
            drawn = [x / sum(drawn) for x in drawn]
        values[coefficient.name] = tuple(drawn) if coefficient.per_model else drawn[0]
    return values


def n_models(variant: Variant) -> int:
    """Three models, or as many as the method takes."""
    return methods.load(variant[0]).models[1] or 3


def starts(variant: Variant, count: int) -> dict[str, Any]:
    method = methods.load(variant[0])
    return dict(method.starts(count, method.resolve(dict(variant[1]))))
