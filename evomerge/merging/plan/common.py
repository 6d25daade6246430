"""State that the candidates of a search have in common."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from evomerge.methods import TensorContext, TensorSources
from evomerge.recipe import Recipe

Inputs = tuple[TensorContext, TensorSources]
"""Context and inputs of a tensor that a method merges."""


@dataclass(frozen=True)
class Passes:
    """The tensors that are merged, for surveys. Every iteration is a fresh pass.

    Attributes:
        make: Begins one.
    """

    make: Callable[[], Iterator[Inputs]]

    def __iter__(self) -> Iterator[Inputs]:
        """A fresh pass."""
        return self.make()


@dataclass(frozen=True)
class Common:
    """State that candidates share.

    Attributes:
        key: Everything that the state depends on.
        survey: The method's survey of all tensors.
        inputs: Context and inputs by tensor, of tensors where keeping them takes no memory.
        findings: Findings of the steps of the candidate at hand, the one part that is its own.
    """

    key: str
    survey: Any = None
    inputs: dict[str, Inputs] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Finding:
    """Findings of one step after the merge; None where it needs none.

    Attributes:
        survey: About all sources, which candidates share.
        measured: About the whole merged delta of one candidate.
    """

    survey: Any = None
    measured: Any = None


def outputs_key(recipe: Recipe) -> Hashable:
    """Everything that a recipe's outputs depend on, which are all fields but coefficients."""
    return (
        recipe.method, json.dumps(dict(recipe.options), sort_keys=True), recipe.sources, recipe.base, recipe.groups,
        recipe.layers, recipe.ends, recipe.dtype, recipe.out_dtype, recipe.seed, recipe.unmatched, recipe.embeddings,
        recipe.statistics, json.dumps(recipe.tokenizer.to_json(), sort_keys=True), recipe.chat_template,
        json.dumps([[step.name, dict(step.options)] for step in recipe.post], sort_keys=True),
    )  # fmt: skip


def how(recipe: Recipe, options: Mapping[str, Any]) -> str:
    """Everything that a method's work on one tensor depends on, besides the tensors and coefficients.

    Args:
        recipe: The recipe.
        options: Its method's options, resolved.
    """
    groups = [recipe.groups.patterns, recipe.groups.layer_pattern]
    known = [recipe.statistics] if recipe.statistics else []
    return json.dumps([recipe.method, options, recipe.dtype, groups, *known], sort_keys=True)
