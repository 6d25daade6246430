"""Merges of tensors that lie in no checkpoint: a method with its options and coefficients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from evomerge import methods
from evomerge.methods import TensorContext, TensorSources
from evomerge.recipe import Group, ParameterGroups
from tests.golden.table.case import Tensors

_GROUPS = ParameterGroups((Group("all"),))


@dataclass(frozen=True)
class TensorMerge:
    """A merge of tensors that are given.

    Attributes:
        method: The method's name; it needs no statistics.
        values: Coefficients, the same for all tensors; those that are not named are neutral.
        options: Other options than the defaults.
        base: Name of the base among the models, or None.
    """

    method: str
    values: Mapping[str, float | Sequence[float]] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    base: str | None = "base"

    def of(self, models: Mapping[str, Tensors]) -> Tensors:
        """The merged tensors of some models by name, of which one is the base."""
        method = methods.load(self.method)
        options = method.resolve(self.options)
        declared = method.coefficients(options)
        assert self.values.keys() <= {own.name for own in declared}
        experts = [name for name in models if name != self.base]
        values = {}
        for own in declared:
            value = self.values.get(own.name, own.neutral)
            numbers = (value,) * len(experts) if isinstance(value, float | int) else tuple(value)
            values[own.name] = tuple(map(float, numbers)) if own.per_model else float(numbers[0])
        tensors = list(self._sources(models, experts, options))
        survey = None if method.survey is None else method.survey(tensors, options)
        found = {}
        for context, sources in tensors:
            found[context.name] = torch.empty_like(sources.models[0])
            method.merge(context, replace(sources, survey=survey), values, found[context.name])
        return found

    def _sources(
        self, models: Mapping[str, Tensors], experts: Sequence[str], options: Mapping[str, Any]
    ) -> Iterator[tuple[TensorContext, TensorSources]]:
        method = methods.load(self.method)
        for name in models[experts[0]]:
            place = _GROUPS.place(name)
            context = TensorContext(name, place.layer, place.kind)
            start = None if self.base is None else models[self.base][name]
            yield context, method.sources(context, start, [models[own][name] for own in experts], options)
