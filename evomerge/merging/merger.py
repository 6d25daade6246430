"""The one merge loop: a recipe and its sources give a stream of merged tensors."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from evomerge import methods
from evomerge.checkpoints import Checkpoint, TensorSpec, is_finite
from evomerge.errors import InputError
from evomerge.kernels import random_key
from evomerge.merging.sources import Sources, identity
from evomerge.methods import MergeMethod, TensorContext
from evomerge.methods import Sources as TensorSources
from evomerge.recipe import Recipe

DTYPES: Mapping[str, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

Tensors = tuple[TensorContext, torch.Tensor | None, list[torch.Tensor]]
Memory = Callable[[str, TensorSpec], torch.Tensor]
"""Gives the memory that a tensor is merged into: contiguous, of the shape and type of the spec."""


class NonFinite(ArithmeticError):
    """A merged tensor holds NaN or infinity.

    Args:
        name: The tensor.
        dtype: What it was rounded to.

    Attributes:
        name: The tensor.
    """

    def __init__(self, name: str, dtype: torch.dtype) -> None:
        self.name = name
        kind = str(dtype).removeprefix("torch.")
        super().__init__(f"the merged tensor {name!r} holds NaN or infinity (in {kind})")


class Merger:
    """Builds the tensors of recipes from the same sources, again and again.

    What does not depend on coefficients is computed once and kept: the state that a method prepares for each tensor,
    and its survey of all tensors. One set of them is kept, for the method, options, seed and models used last.

    Args:
        sources: The opened checkpoints.
        device: Where merging is computed.
    """

    def __init__(self, sources: Sources, *, device: torch.device | str = "cpu") -> None:
        self.sources = sources
        self.device = torch.device(device)
        self._kept_for: str | None = None
        self._surveyed: Any = None
        self._prepared: dict[str, Mapping[str, torch.Tensor]] = {}

    def specs(self, recipe: Recipe) -> dict[str, TensorSpec]:
        """Names, types and shapes that :meth:`stream` will give, in its order."""
        merged = set(self.sources.merged_names) | self.sources.reference.aliases.keys()
        out_dtype = DTYPES[recipe.out_dtype]
        tensors = self.sources.reference.tensors
        return {
            name: TensorSpec(out_dtype if name in merged else tensors[name].dtype, tensors[name].shape)
            for name in _order(self.sources.reference)
        }

    def keys(self, recipe: Recipe) -> dict[str, Hashable]:
        """For every tensor of :meth:`stream`, everything that its bytes depend on.

        Where two recipes have equal keys for a name, they give equal bytes for it, so a tensor that is already in
        place need not be merged again. Coefficients enter by the tensor's own row alone: :attr:`MergeMethod.merge`
        sees no others, and a survey sees none.

        Raises:
            InputError: If the recipe does not fit its method or these sources.
        """
        work = _Work.of(recipe, self.sources, self.device)
        reference = self.sources.reference
        keys: dict[str, Hashable] = {}
        for name in reference.tensors:
            stored = reference.aliases.get(name, name)
            keys[name] = work.tensor_key(stored) if stored in work.rows else ("copied", str(reference.path))
        return keys

    @torch.no_grad()
    def stream(
        self, recipe: Recipe, *, names: Collection[str] | None = None, memory: Memory | None = None
    ) -> Iterator[tuple[str, torch.Tensor]]:
        """Merges tensor after tensor.

        Each tensor is given as the reference checkpoint stores it: under its name there, in its shape, tied heads that
        the file repeats included. Floating-point tensors come in ``recipe.out_dtype``; integers, and tables that
        models compute by themselves, are copies of the reference's. Tensors of frozen groups are the recipe's
        reference's own. At no time more than one merged tensor is held here.

        Args:
            recipe: What to build, from checkpoints among the sources.
            names: The tensors that are wanted; None is all.
            memory: Where they are wanted: asked for each merged tensor just before it is written, so the same memory
                may be given again and again. None is new memory for each.

        Yields:
            Name and tensor.

        Raises:
            InputError: If the recipe does not fit its method or these sources; before the first tensor.
            NonFinite: If a merged tensor is not finite; the memory that was given for it then holds it.
        """
        work = _Work.of(recipe, self.sources, self.device)
        reference = self.sources.reference
        wanted = set(reference.tensors if names is None else names)
        repeated: dict[str, list[str]] = {}
        for head, name in reference.aliases.items():
            if head in wanted:
                repeated.setdefault(name, []).append(head)
        self._keep_for(work)
        for name in _order(reference):
            if name in reference.aliases or (name not in wanted and name not in repeated):
                continue  # a repeated head is given with the tensor that it repeats
            if name not in work.rows:
                yield name, reference.tensor(name).to(self.device)
                continue
            spec = TensorSpec(DTYPES[recipe.out_dtype], reference.tensors[name].shape)
            merged = (
                torch.empty(spec.shape, dtype=spec.dtype, device=self.device) if memory is None else memory(name, spec)
            )
            self._merge(work, name, merged)
            if not is_finite(merged):
                raise NonFinite(name, merged.dtype)
            yield name, merged
            for head in repeated.get(name, ()):
                yield head, merged

    def _merge(self, work: _Work, name: str, out: torch.Tensor) -> None:
        row = work.rows[name]
        if work.recipe.groups.groups[row].frozen:
            out.copy_(_find(self.sources[work.recipe.reference], name))
            return
        context, tensors = self._prepare(work, name)
        if work.method.survey is not None:
            tensors = replace(tensors, survey=self._surveyed)
        work.method.merge(context, tensors, work.coefficients(row), out)

    def _prepare(self, work: _Work, name: str) -> tuple[TensorContext, TensorSources]:
        """One tensor of all checkpoints, with what the method prepares for it; prepared once."""
        context, base, models = work.tensors(name)
        if work.method.prepare is None:
            return context, TensorSources(base, models, work.options)
        if name not in self._prepared:
            self._prepared[name] = work.method.prepare(context, base, models, work.options)
        return context, TensorSources(base, models, work.options, self._prepared[name])

    def _keep_for(self, work: _Work) -> None:
        if work.method.prepare is None and work.method.survey is None:
            return
        if self._kept_for == work.key:
            return
        self._kept_for, self._prepared, self._surveyed = None, {}, None
        if work.method.survey is not None:
            self._surveyed = work.method.survey(_Prepared(self, work), work.options)
        self._kept_for = work.key


@dataclass(frozen=True)
class _Work:
    """A recipe with everything it names looked up."""

    recipe: Recipe
    sources: Sources
    device: torch.device
    method: MergeMethod
    options: Mapping[str, Any]
    rows: Mapping[str, int]  # tensor name to the row of its coefficients

    @classmethod
    def of(cls, recipe: Recipe, sources: Sources, device: torch.device) -> _Work:
        method = methods.load(recipe.method)
        problems = method.problems(recipe)
        if recipe.layout is not None:
            problems.append("the recipe has a layout of stacked or swapped layers, which this version does not build")
        rows = {}
        for name in sources.merged_names:
            try:
                rows[name] = recipe.groups.index(name)
            except InputError as error:
                problems += error.problems
        if problems:
            raise InputError(problems)
        return cls(recipe, sources, device, method, method.resolve(recipe.options), rows)

    @functools.cached_property
    def key(self) -> str:
        """What prepared state depends on."""
        recipe = self.recipe
        refs = [recipe.base, *recipe.models]
        live = [name for name, row in self.rows.items() if not recipe.groups.groups[row].frozen]
        identities = [ref.identity() if ref is not None else None for ref in refs]
        return json.dumps([recipe.method, self.options, recipe.seed, recipe.dtype, identities, live], sort_keys=True)

    def tensor_key(self, name: str) -> Hashable:
        """Everything that the bytes of one merged tensor depend on."""
        recipe, row = self.recipe, self.rows[name]
        if recipe.groups.groups[row].frozen:
            return ("frozen", identity(recipe.reference), recipe.out_dtype)
        coefficients = tuple((name, values[row].tobytes()) for name, values in recipe.coefficients.items())
        return (self.key, str(self.device), recipe.out_dtype, recipe.groups.place(name), coefficients)

    def context(self, name: str) -> TensorContext:
        place = self.recipe.groups.place(name)
        keys = tuple(
            random_key(self.recipe.seed, ref.fingerprint or position, name)
            for position, ref in enumerate(self.recipe.models)
        )
        return TensorContext(name, place.layer, place.kind, keys)

    def tensors(self, name: str) -> Tensors:
        dtype = DTYPES[self.recipe.dtype]

        def read(checkpoint: Checkpoint) -> torch.Tensor:
            return _rounded(_find(checkpoint, name), dtype).to(self.device)

        base = None if self.recipe.base is None else read(self.sources[self.recipe.base])
        return self.context(name), base, [read(self.sources[ref]) for ref in self.recipe.models]

    def coefficients(self, row: int) -> dict[str, float | tuple[float, ...]]:
        return {
            name: tuple(map(float, values[row])) if values.ndim == 2 else float(values[row])
            for name, values in self.recipe.coefficients.items()
        }


@dataclass(frozen=True)
class _Prepared:
    """The tensors that are merged, each with what was prepared for it. Every iteration is a fresh pass."""

    merger: Merger
    work: _Work

    def __iter__(self) -> Iterator[tuple[TensorContext, TensorSources]]:
        for name, row in self.work.rows.items():
            if not self.work.recipe.groups.groups[row].frozen:
                yield self.merger._prepare(self.work, name)


def _order(reference: Checkpoint) -> list[str]:
    """All names of the reference, a repeated head right after the tensor that it repeats."""
    names = [name for name in reference.tensors if name not in reference.aliases]
    for head, name in reference.aliases.items():
        names.insert(names.index(name) + 1, head)
    return names


def _find(checkpoint: Checkpoint, name: str) -> torch.Tensor:
    if name not in checkpoint.tensors:
        raise InputError(f"{str(checkpoint.path)!r} has no tensor {name!r}")
    return checkpoint.tensor(name)


def _rounded(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    # A type that the wider one holds exactly needs no copy: methods widen block by block.
    return tensor if torch.promote_types(tensor.dtype, dtype) == dtype else tensor.to(dtype)
