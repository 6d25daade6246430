"""A recipe with everything looked up that merging it takes."""

from __future__ import annotations

import functools
import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from evomerge import methods
from evomerge.errors import InputError
from evomerge.kernels import random_key
from evomerge.merging.opened import Checkpoints, identity
from evomerge.merging.unbuilt import unbuilt
from evomerge.merging.weight_cache import Wanted
from evomerge.methods import MergeMethod, TensorContext
from evomerge.recipe import CheckpointRef, ParameterGroups, Recipe

DTYPES: Mapping[str, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass(frozen=True)
class Work:
    """A recipe that fits its method and its checkpoints.

    Attributes:
        recipe: The recipe.
        checkpoints: The opened checkpoints.
        method: Its method.
        options: The method's options, resolved.
        rows: Names of the tensors that are merged or frozen to the rows of their coefficients. All others are copied
            from the checkpoints' reference.
    """

    recipe: Recipe
    checkpoints: Checkpoints
    method: MergeMethod
    options: Mapping[str, Any]
    rows: Mapping[str, int]

    @classmethod
    def of(cls, recipe: Recipe, checkpoints: Checkpoints) -> Work:
        """Looks everything up.

        Raises:
            InputError: If the recipe does not fit its method or these checkpoints; all problems.
        """
        method = methods.load(recipe.method)
        problems = [*unbuilt(recipe), *method.problems(recipe)]
        rows, unplaced = _rows(recipe.groups, checkpoints.merged_names)
        problems += unplaced
        if problems:
            raise InputError(problems)
        return cls(recipe, checkpoints, method, method.resolve(recipe.options), rows)

    @functools.cached_property
    def live(self) -> tuple[str, ...]:
        """Names of the tensors that are merged."""
        groups = self.recipe.groups.groups
        return tuple(name for name, row in self.rows.items() if not groups[row].frozen)

    @functools.cached_property
    def prepared_key(self) -> str:
        """What prepared arrays depend on, besides their tensor and the device."""
        recipe = self.recipe
        identities = [ref and identity(ref) for ref in self._inputs]
        patterns = [recipe.groups.patterns, recipe.groups.layer_pattern]
        return json.dumps([recipe.method, self.options, recipe.dtype, identities, patterns], sort_keys=True)

    @functools.cached_property
    def survey_key(self) -> str:
        """What a survey depends on."""
        return json.dumps([self.prepared_key, self.recipe.seed, self.live])

    @property
    def known_by_content(self) -> bool:
        """Whether all models are known by their weights, so that :attr:`prepared_key` holds in other processes."""
        return all(ref is None or ref.fingerprint is not None for ref in self._inputs)

    def tensor_key(self, name: str) -> Hashable:
        """Everything that the bytes of one tensor depend on, but for the device."""
        recipe = self.recipe
        if name not in self.rows:
            return ("copied", str(self.checkpoints.reference.path))
        row = self.rows[name]
        if recipe.groups.groups[row].frozen:
            return ("frozen", identity(recipe.reference), recipe.out_dtype)
        coefficients = tuple((label, values[row].tobytes()) for label, values in recipe.coefficients.items())
        return (self.survey_key, recipe.out_dtype, coefficients)

    def wanted(self, name: str) -> tuple[Wanted, ...]:
        """What is read to make a tensor: base and models, or the one tensor that is copied."""
        if name not in self.rows:
            return (Wanted(self.checkpoints.reference, name),)
        if self.recipe.groups.groups[self.rows[name]].frozen:
            return (Wanted(self.checkpoints[self.recipe.reference], name),)
        dtype = DTYPES[self.recipe.dtype]
        return tuple(Wanted(self.checkpoints[ref], name, dtype) for ref in self._inputs if ref is not None)

    def context(self, name: str) -> TensorContext:
        """What the method may know about a tensor."""
        recipe = self.recipe
        place = recipe.groups.place(name)
        experts = tuple(ref.fingerprint or position for position, ref in enumerate(recipe.models))
        keys = _keys(recipe.seed, experts, name) if self.method.stochastic else ()
        return TensorContext(name, place.layer, place.kind, keys)

    def coefficients(self, name: str) -> dict[str, float | tuple[float, ...]]:
        """The values for one tensor."""
        row = self.rows[name]
        return {
            label: tuple(map(float, values[row])) if values.ndim == 2 else float(values[row])
            for label, values in self.recipe.coefficients.items()
        }

    @property
    def _inputs(self) -> tuple[CheckpointRef | None, ...]:
        base = self.recipe.base
        return (base if isinstance(base, CheckpointRef) else None, *self.recipe.models)


@functools.lru_cache(maxsize=16)
def _rows(groups: ParameterGroups, names: tuple[str, ...]) -> tuple[Mapping[str, int], tuple[str, ...]]:
    """The row of every name, and what is wrong with names that have none; the same for all candidates of a search."""
    rows: dict[str, int] = {}
    problems: list[str] = []
    for name in names:
        try:
            rows[name] = groups.index(name)
        except InputError as error:
            problems += error.problems
    return rows, tuple(problems)


@functools.lru_cache(maxsize=1 << 16)
def _keys(seed: int, experts: tuple[str | int, ...], name: str) -> tuple[int, ...]:
    return tuple(random_key(seed, expert, name) for expert in experts)
