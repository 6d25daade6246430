"""Cases for the contract of merge methods: variants of options, tensors, coefficients, and the merge of one tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from evomerge.contracts.statistics_cases import statistics_for
from evomerge.kernels import random_key
from evomerge.methods import MergeMethod, TensorContext, TensorSources
from evomerge.post import PostProcess

__all__ = [
    "CONTEXT",
    "Untouchable",
    "family",
    "in_every_variant_of",
    "merge_prepared",
    "merge_tensor",
    "prepared",
    "random_values",
    "same_bits",
    "variants",
]

CONTEXT = TensorContext("model.layers.0.mlp.up_proj.weight", layer=0, kind="mlp")
"""The tensor that is merged: of a layer, since some methods leave everything else alone."""


def variants(method: MergeMethod | PostProcess) -> Iterator[dict[str, Any]]:
    """Options of every variant that the contract tries, complete.

    These are the defaults, every other choice of every option alone, and all last choices together.
    """
    others = {name: [c for c in o.choices or () if c != o.default] for name, o in method.options.items()}
    yield method.resolve({})
    for name, choices in others.items():
        yield from (method.resolve({name: choice}) for choice in choices)
    last = {name: choices[-1] for name, choices in others.items() if choices}
    if len(last) > 1:
        yield method.resolve(last)


def family(count: int, shape: Sequence[int] = (37, 11)) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """A base and models near it; some elements are nobody's, some are shared, some oppose each other."""
    base = _normal(shape, 0)
    deltas = [0.05 * _normal(shape, 1 + i) for i in range(count)]
    deltas = [torch.where(delta.abs() < 0.02, torch.zeros(()), (delta * 128).round() / 128) for delta in deltas]
    return base, [base + delta for delta in deltas]


def _normal(shape: Sequence[int], seed: int) -> torch.Tensor:
    return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed))


def merge_tensor(
    method: MergeMethod,
    options: Mapping[str, Any],
    tensors: tuple[torch.Tensor | None, Sequence[torch.Tensor]],
    values: Mapping[str, Any],
    *,
    keys: Sequence[int] | None = None,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    """Merges the only tensor of a model, freshly prepared.

    Args:
        method: The method.
        options: Its options, complete.
        tensors: The base's tensor and the models'.
        values: Its coefficients.
        keys: Random keys of the models; None are those of seed 0.
        out: Memory of the result; None is new memory in float32.
    """
    context, sources = prepared(method, options, *tensors, keys=keys)
    out = torch.full(sources.models[0].shape, torch.nan) if out is None else out
    method.merge(context, sources, values, out)
    return out


def merge_prepared(
    method: MergeMethod,
    options: Mapping[str, Any],
    tensors: tuple[torch.Tensor | None, Sequence[torch.Tensor]],
    points: Sequence[Mapping[str, Any]],
) -> list[torch.Tensor]:
    """Merges the only tensor of a model with several coefficients in turn, prepared once; results have its dtype."""
    context, sources = prepared(method, options, *tensors)
    results = [torch.empty_like(tensors[1][0]) for _ in points]
    for values, out in zip(points, results, strict=True):
        method.merge(context, sources, values, out)
    return results


def prepared(
    method: MergeMethod,
    options: Mapping[str, Any],
    base: torch.Tensor | None,
    models: Sequence[torch.Tensor],
    *,
    keys: Sequence[int] | None = None,
) -> tuple[TensorContext, TensorSources]:
    """Context and sources of the only tensor of a model, with statistics and a survey where the method has them."""
    context = replace(CONTEXT, keys=tuple(keys or (random_key(0, i, "x") for i in range(len(models)))))
    sources = method.sources(context, base, models, options, statistics_for(method.needs(options), base, models))
    if method.survey is not None:
        sources = replace(sources, survey=method.survey([(context, sources)], options))
    return context, sources


def random_values(
    method: MergeMethod | PostProcess, options: Mapping[str, Any], n_models: int, seed: int = 0
) -> dict[str, Any]:
    """Random coefficients within the bounds of the search; on a simplex they sum to one."""
    generator = torch.Generator().manual_seed(seed)
    values: dict[str, Any] = {}
    for coefficient in method.coefficients(options):
        span = coefficient.high - coefficient.low
        drawn = [coefficient.low + span * x for x in torch.rand(n_models, generator=generator).tolist()]
        if coefficient.simplex:
            drawn = [x / sum(drawn) for x in drawn]
        values[coefficient.name] = tuple(drawn) if coefficient.per_model else drawn[0]
    return values


def same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors have the same dtype, shape and bits."""
    words = {2: torch.int16, 4: torch.int32, 8: torch.int64}[one.element_size()]
    same_kind = one.dtype == other.dtype and one.shape == other.shape
    return same_kind and torch.equal(one.detach().contiguous().view(words), other.detach().contiguous().view(words))


class Untouchable(dict[str, torch.Tensor]):
    """Prepared arrays that nobody may read."""

    def __getitem__(self, name: str) -> torch.Tensor:
        raise AssertionError(f"a method that prepares nothing read {name!r}")


def in_every_variant_of(subject: str) -> Callable[[Callable[[Any, dict[str, Any]], None]], Callable[[Any], None]]:
    """Makes tests of checks, which try every variant of options; a failure names the variant.

    Args:
        subject: The attribute of the test's class that has the options.
    """

    def in_every_variant(check: Callable[[Any, dict[str, Any]], None]) -> Callable[[Any], None]:
        def test(self: Any) -> None:
            own = getattr(self, subject)
            for options in variants(own):
                try:
                    check(self, options)
                except BaseException as error:
                    error.add_note(f"{subject} {own.name} with options {options}")
                    raise

        test.__name__, test.__qualname__, test.__doc__ = check.__name__, check.__qualname__, check.__doc__
        return test

    return in_every_variant
