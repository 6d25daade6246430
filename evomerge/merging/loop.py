"""The one merge loop: a recipe and its checkpoints give a stream of merged tensors."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Container, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from evomerge.checkpoints import CheckpointSource, TensorSpec
from evomerge.kernels import is_finite
from evomerge.merging.opened import Checkpoints
from evomerge.merging.plan import DTYPES, Work
from evomerge.merging.prepared import Arrays, PreparedSettings, PreparedStore, prepared_bounds
from evomerge.merging.weight_cache import WeightCache
from evomerge.methods import TensorContext, TensorSources
from evomerge.recipe import Recipe

Memory = Callable[[str, TensorSpec], torch.Tensor]
"""Gives the memory that a tensor is merged into: contiguous, of the shape and type of the spec."""


class Buffer:
    """Memory for one merged tensor after the other, as large as the largest so far.

    Args:
        device: Where it is.
    """

    def __init__(self, device: torch.device) -> None:
        self._bytes = torch.empty(0, dtype=torch.uint8, device=device)

    def __call__(self, name: str, spec: TensorSpec) -> torch.Tensor:
        """The memory, as a tensor to be overwritten; the one given before is no longer valid."""
        if self._bytes.numel() < spec.nbytes:
            device = self._bytes.device
            self._bytes = torch.empty(0, dtype=torch.uint8)  # the old one goes before the new one comes
            self._bytes = torch.empty(spec.nbytes, dtype=torch.uint8, device=device)
        return self._bytes[: spec.nbytes].view(spec.dtype).view(spec.shape)


_Inputs = tuple[TensorContext, TensorSources] | torch.Tensor
"""What a tensor is merged from, or the tensor that is copied."""


@dataclass(frozen=True)
class _Common:
    """What candidates have in common.

    Attributes:
        key: What all of it depends on.
        survey: The method's survey of all tensors.
        inputs: What each tensor is merged from, of those where keeping that takes no memory.
    """

    key: str
    survey: Any = None
    inputs: dict[str, tuple[TensorContext, TensorSources]] = field(default_factory=dict)


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
    """Builds the tensors of recipes from the same checkpoints, again and again.

    What does not depend on coefficients is computed once and kept: the arrays that a method prepares for each tensor,
    and its survey of all tensors. One set of them is kept, for the method, options and models used last.

    Args:
        checkpoints: The opened checkpoints.
        device: Where merging is computed.
        prepared: Where prepared arrays are kept.
        weights: Where the checkpoints' weights are meanwhile, on the same device.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        *,
        device: torch.device | str = "cpu",
        prepared: PreparedSettings | None = None,
        weights: WeightCache | None = None,
    ) -> None:
        self.checkpoints = checkpoints
        self.device = torch.device(device)
        self._weights = weights or WeightCache(self.device)
        self._prepared = PreparedStore(prepared or PreparedSettings())
        # Of methods that prepare or survey, and of those that do neither: baselines come in between candidates.
        self._commons: dict[bool, _Common] = {}

    def specs(self, recipe: Recipe) -> dict[str, TensorSpec]:
        """Names, types and shapes that :meth:`stream` will give, in its order."""
        merged = set(self.checkpoints.merged_names) | self.checkpoints.reference.aliases.keys()
        out_dtype = DTYPES[recipe.out_dtype]
        tensors = self.checkpoints.reference.specs
        return {
            name: TensorSpec(out_dtype if name in merged else tensors[name].dtype, tensors[name].shape)
            for name in _order(self.checkpoints.reference)
        }

    def keys(self, recipe: Recipe) -> dict[str, Hashable]:
        """For every tensor of :meth:`stream`, everything that its bytes depend on.

        Where two recipes have equal keys for a name, they give equal bytes for it, so a tensor that is already in
        place need not be merged again. Coefficients enter by the tensor's own row alone: :attr:`MergeMethod.merge`
        sees no others, and a survey sees none.

        Raises:
            InputError: If the recipe does not fit its method or these checkpoints.
        """
        work = Work.of(recipe, self.checkpoints)
        reference = self.checkpoints.reference
        keys: dict[str, Hashable] = {}
        for name in reference.specs:
            stored = reference.aliases.get(name, name)
            keys[name] = (str(self.device), work.tensor_key(stored))
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
            recipe: What to build, from the opened checkpoints.
            names: The tensors that are wanted; None is all.
            memory: Where they are wanted: asked for each merged tensor just before it is written, so the same memory
                may be given again and again. None is new memory for each.

        Yields:
            Name and tensor.

        Raises:
            InputError: If the recipe does not fit its method or these checkpoints; before the first tensor.
            NonFinite: If a merged tensor is not finite; the memory that was given for it then holds it.
        """
        work = Work.of(recipe, self.checkpoints)
        reference = self.checkpoints.reference
        wanted = set(reference.specs if names is None else names)
        repeated: dict[str, list[str]] = {}
        for head, name in reference.aliases.items():
            if head in wanted:
                repeated.setdefault(name, []).append(head)
        common = self._get_ready(work)
        # A repeated head is given with the tensor that it repeats.
        made = [n for n in reference.specs if n not in reference.aliases and (n in wanted or n in repeated)]
        for name, tensors in self._fetched(work, made, known=common.inputs):
            if name not in work.rows:
                yield name, tensors[0]
                continue
            spec = TensorSpec(DTYPES[recipe.out_dtype], reference.specs[name].shape)
            out = self._new(spec) if memory is None else memory(name, spec)
            if not self._merge(work, name, self._inputs(work, name, tensors, common), out):
                raise NonFinite(name, out.dtype)
            yield name, out
            for head in repeated.get(name, ()):
                yield head, out

    def _new(self, spec: TensorSpec) -> torch.Tensor:
        return torch.empty(spec.shape, dtype=spec.dtype, device=self.device)

    def _fetched(
        self, work: Work, names: Collection[str], known: Container[str] = ()
    ) -> Iterator[tuple[str, list[torch.Tensor]]]:
        """The tensors that are read for each name; none for names that are known."""
        wanted = (() if name in known else work.wanted(name) for name in names)
        return zip(names, self._weights.each(wanted), strict=True)

    def _inputs(self, work: Work, name: str, tensors: list[torch.Tensor], common: _Common) -> _Inputs:
        """What a tensor is merged from: known, or from the tensors that were read."""
        if name in common.inputs:
            return common.inputs[name]
        if work.recipe.groups.groups[work.rows[name]].frozen:
            return tensors[0]
        context, sources = self._with_prepared(work, name, tensors)
        inputs = context, replace(sources, survey=common.survey)
        if self._stays(work, name):
            common.inputs[name] = inputs
        return inputs

    def _merge(self, work: Work, name: str, inputs: _Inputs, out: torch.Tensor) -> bool:
        """Writes one tensor, and says whether all of it is finite."""
        if isinstance(inputs, torch.Tensor):
            out.copy_(inputs)
            return is_finite(out)
        finite = work.method.merge(*inputs, work.coefficients(name), out)
        return is_finite(out) if finite is None else finite

    def _stays(self, work: Work, name: str) -> bool:
        """Whether what a tensor is merged from is there anyhow, and stays: mapped files, and arrays that are kept."""
        kept = work.method.prepare is None or self._prepared.get(self._prepared_key(work), name) is not None
        return kept and self._weights.in_place and all(wanted.in_place for wanted in work.wanted(name))

    def _with_prepared(self, work: Work, name: str, tensors: list[torch.Tensor]) -> tuple[TensorContext, TensorSources]:
        """One tensor of all checkpoints with what the method prepares for it, kept or, for want of room, made now."""
        context, base, models = work.context(name), None, tensors
        if work.recipe.base is not None:
            base, *models = tensors
        if work.method.prepare is None:
            return context, TensorSources(base, models, work.options)
        arrays = self._prepared.get(self._prepared_key(work), name)
        if arrays is None:
            # Without keys: what is prepared serves every seed.
            arrays = work.method.prepare(replace(context, keys=()), base, models, work.options)
        return context, TensorSources(base, models, work.options, arrays)

    def _prepare(self, work: Work, names: Sequence[str]) -> Iterator[tuple[str, Arrays]]:
        for name, tensors in self._fetched(work, names):
            yield name, self._with_prepared(work, name, tensors)[1].prepared

    def _prepared_key(self, work: Work) -> str:
        return f"{work.prepared_key} on {self.device.type}"

    def _get_ready(self, work: Work) -> _Common:
        """Sees to it that everything is there that does not depend on coefficients."""
        method = work.method
        large = method.prepare is not None or method.survey is not None
        if large in self._commons and self._commons[large].key == work.survey_key:
            return self._commons[large]
        self._commons.pop(large, None)  # before more is made
        if method.prepare is not None:
            bounds = prepared_bounds(work.recipe, self.checkpoints)
            bounds = {name: bounds[name] for name in work.live}
            prepare = functools.partial(self._prepare, work)
            self._prepared.fill(self._prepared_key(work), bounds, prepare, everywhere=work.known_by_content)
        survey = None if method.survey is None else method.survey(_Surveyed(self, work), work.options)
        self._commons[large] = _Common(work.survey_key, survey)
        return self._commons[large]


@dataclass(frozen=True)
class _Surveyed:
    """The tensors that are merged, each with what was prepared for it. Every iteration is a fresh pass."""

    merger: Merger
    work: Work

    def __iter__(self) -> Iterator[tuple[TensorContext, TensorSources]]:
        for name, tensors in self.merger._fetched(self.work, self.work.live):
            yield self.merger._with_prepared(self.work, name, tensors)


def _order(reference: CheckpointSource) -> list[str]:
    """All names of the reference, a repeated head right after the tensor that it repeats."""
    names = [name for name in reference.specs if name not in reference.aliases]
    for head, name in reference.aliases.items():
        names.insert(names.index(name) + 1, head)
    return names
