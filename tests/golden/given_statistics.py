"""Merges that are given statistics: a recipe's method, options and coefficients, and the arrays that it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from evomerge import methods
from evomerge.methods import MergeMethod, TensorContext, TensorSources
from evomerge.recipe import Group, ParameterGroups

Tensors = Mapping[str, torch.Tensor]
_GROUPS = ParameterGroups((Group("all"),))
Arrays = Callable[[str, str], "torch.Tensor | None"]
"""Gives an array by the name of the model and of the tensor."""
Given = Mapping[str, Arrays]
"""Arrays by the key of the need."""


@dataclass(frozen=True)
class DataMerge:
    """A merge of tensors that are given with their statistics.

    Attributes:
        method: The method's name.
        values: Coefficients, the same for all tensors; those that are not named are neutral.
        options: Other options than the defaults.
        sources: The models that are merged, of a family; None is all experts.
    """

    method: str
    values: Mapping[str, float | Sequence[float]] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    sources: Sequence[str] | None = None
    base: str | None = "base"

    def of(self, models: Mapping[str, Tensors], given: Given) -> Tensors:
        """The merged tensors.

        Args:
            models: The base and the models.
            given: Statistics.
        """
        method, names = methods.load(self.method), self.sources or [name for name in models if name != self.base]
        options = method.resolve(self.options)
        declared = method.coefficients(options)
        unknown = self.values.keys() - {own.name for own in declared}
        assert not unknown, f"{self.method} has no coefficients {sorted(unknown)}"
        values = {
            own.name: _values(self.values.get(own.name, own.neutral), own.per_model, len(names)) for own in declared
        }
        tensors = list(_sources(method, options, models, (self.base, names), given))
        survey = None if method.survey is None else method.survey(tensors, options)
        found = {}
        for context, sources in tensors:
            out = torch.empty_like(sources.models[0])
            method.merge(context, replace(sources, survey=survey), values, out)
            found[context.name] = out
        return found


def _values(given: float | Sequence[float], per_model: bool, count: int) -> float | tuple[float, ...]:
    if not per_model:
        assert isinstance(given, float | int)
        return float(given)
    return (float(given),) * count if isinstance(given, float | int) else tuple(map(float, given))


def _sources(
    method: MergeMethod,
    options: Mapping[str, Any],
    models: Mapping[str, Tensors],
    names: tuple[str | None, Sequence[str]],
    given: Given,
) -> Iterator[tuple[TensorContext, TensorSources]]:
    base, experts = names
    for name in models[experts[0]]:
        place = _GROUPS.place(name)
        context = TensorContext(name, place.layer, place.kind)
        known = {}
        for need in method.needs(options):
            about = experts if need.count(2) == 2 else (base or "base",)
            known[need.key] = tuple(given[need.key](model, name) for model in about)
        start = None if base is None else models[base][name]
        yield context, method.sources(context, start, [models[own][name] for own in experts], options, known)
