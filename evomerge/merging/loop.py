"""The one merge loop: a recipe and its opened sources give a stream of merged tensors."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Container, Hashable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

import torch

from evomerge import methods
from evomerge.checkpoints import CheckpointSource
from evomerge.errors import InputError
from evomerge.kernels import Finite, finite_flag
from evomerge.merging.buffers import Memory, new_memory
from evomerge.merging.checkpoints import Checkpoints
from evomerge.merging.finiteness import NonFinite, Unread
from evomerge.merging.plan.account import Entry, account
from evomerge.merging.plan.common import Common, Inputs, Passes, outputs_key
from evomerge.merging.plan.derivation import derive_outputs
from evomerge.merging.plan.merge_plan import MergePlan
from evomerge.merging.plan.outputs import Outputs, OutputTensor
from evomerge.merging.plan.recipe_source import Kept, RecipeSource
from evomerge.merging.plan.statistics import StatisticsReader, StatisticsSource
from evomerge.merging.plan.unbuilt import unbuilt
from evomerge.merging.prepared import Arrays, PreparedArrays, PreparedSettings
from evomerge.merging.stepping import Merged, Stepping
from evomerge.merging.weight_cache import WeightCache
from evomerge.methods import TensorContext, TensorSources
from evomerge.recipe import Recipe, Source

# Sets of outputs that are kept: candidates, and baselines in between, which are a few recipes of another shape each.
_KEPT = 16


class Merger:
    """Builds the tensors of recipes from the same checkpoints, again and again.

    Everything that does not depend on coefficients is computed once: the outputs of a recipe, arrays that its method
    prepares for each tensor, and a survey of all tensors. Of these two one set is kept, for the sources used last.

    Args:
        checkpoints: The opened checkpoints.
        device: Where merging is computed.
        prepared: Where prepared arrays are kept.
        weights: Where the checkpoints' weights are meanwhile, on the same device.
        statistics: Collected statistics, for methods and steps that need some.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        *,
        device: torch.device | str = "cpu",
        prepared: PreparedSettings | None = None,
        weights: WeightCache | None = None,
        statistics: StatisticsSource | None = None,
    ) -> None:
        self.checkpoints = checkpoints
        self.device = torch.device(device)
        self._weights = weights or WeightCache(self.device)
        self._statistics = StatisticsReader(statistics, self.device)
        self._prepared = PreparedArrays(prepared or PreparedSettings(), self.device)
        self._plan: MergePlan | None = None
        self._outputs: OrderedDict[Hashable, Outputs] = OrderedDict()
        # Of methods that prepare or survey, and of those that do neither: baselines come in between candidates.
        self._commons: dict[bool, Common] = {}
        self._stepping = Stepping(self.device)
        self._elsewhere: dict[torch.device, Merger] = {}

    def on(self, device: torch.device) -> Merger:
        """The merger of the same checkpoints on another device; those of one type share what is prepared and found."""
        if (device.type, device.index or 0) == (self.device.type, self.device.index or 0):
            return self
        if device not in self._elsewhere:
            known = self._statistics.source
            there = Merger(self.checkpoints, device=device, weights=self._weights.on(device), statistics=known)
            there._prepared = self._prepared.on(device)
            if device.type == self.device.type:
                there._stepping = Stepping(device, self._stepping.known)
            self._elsewhere[device] = there
        return self._elsewhere[device]

    def plan(self, recipe: Recipe) -> MergePlan:
        """The plan of a recipe. That of the last recipe is kept, so asking again for it costs nothing.

        Raises:
            InputError: If the recipe does not fit its method or these checkpoints; all problems.
        """
        if self._plan is None or self._plan.recipe is not recipe:
            if problems := list(unbuilt(recipe)):
                raise InputError([*problems, *methods.load(recipe.method).problems(recipe)])
            self._plan = MergePlan.of(recipe, self.outputs(recipe))
        return self._plan

    def outputs(self, recipe: Recipe) -> Outputs:
        """The tensors of a recipe's model; its coefficients are not looked at, and problems are data.

        Raises:
            InputError: If a source is none of the opened checkpoints, or the method's options are wrong.
        """
        key = outputs_key(recipe)
        if key in self._outputs:
            self._outputs.move_to_end(key)
        else:
            self._outputs[key] = derive_outputs(recipe, self.checkpoints, self._source)
            if len(self._outputs) > _KEPT:
                self._outputs.popitem(last=False)
        return self._outputs[key]

    def account(self, recipe: Recipe) -> tuple[Entry, ...]:
        """The account of a recipe: tensors merged, frozen, copied, kept and left out. Coefficients are not looked at.

        Raises:
            InputError: If a source is none of the opened checkpoints, or the method's options are wrong.
        """
        return account(recipe, self.outputs(recipe), [(own.label, self._source(own)) for own in recipe.named()])

    @torch.no_grad()
    def stream(
        self,
        recipe: Recipe,
        *,
        names: Collection[str] | None = None,
        memory: Memory | None = None,
        checked: Literal["each", "last"] = "each",
    ) -> Iterator[tuple[str, torch.Tensor]]:
        """Merges tensor after tensor.

        Each tensor is given as the model stores it: under its name there, in its shape, tied heads that the reference
        checkpoint repeats included. Floating-point tensors come in ``recipe.out_dtype``; integers, and tables that
        models compute by themselves, are copies of the reference's. Tensors of frozen groups, and those that the
        recipe freezes or keeps because only some sources have them, are copies as well. At no time more than one merged
        tensor is held here.

        Args:
            recipe: The candidate, of the opened checkpoints.
            names: The tensors that are wanted, in that order; None is all, in the order of the files.
            memory: Where they are wanted: asked for each merged tensor just before it is written, so the same memory
                may be given again and again. None is new memory for each.
            checked: When NaN and infinity are looked for: in each tensor before it is given, or, on a GPU, which would
                be waited for every time, after the last one was.

        Yields:
            Name and tensor.

        Raises:
            InputError: Before the first tensor, if the recipe does not fit its method, these checkpoints or statistics.
            NonFinite: If a merged tensor is not finite, the first; the memory that was given for it then holds it.
        """
        plan, unread = self.plan(recipe), Unread()
        self._statistics.check(plan)
        memory = memory or new_memory(self.device)
        common = self._with_findings(plan, self._get_ready(plan))
        given = plan.outputs.given(names)
        tensors = [plan.outputs.tensors[name] for name in given]
        for tensor, inputs in self._fetched(tensors, known=common.inputs):
            if tensor.row is None:
                out = inputs[0]
            else:
                out = memory(tensor.name, tensor.spec)
                part = out[: tensor.merged_spec.shape[0]] if tensor.tail is not None else out
                with unread.first():
                    finite = self._write(plan, tensor, inputs, part, common)
                unread.add(NonFinite(tensor.name, out.dtype), finite)
                if tensor.tail is not None:
                    unread.add(NonFinite(tensor.name, out.dtype), finite_flag(out[len(part) :].copy_(inputs[-1])))
                if checked == "each":
                    unread.check()
            for name in given[tensor.name]:
                yield name, out
        unread.check()

    def as_source(self, recipe: Recipe, kept: Kept | None = None) -> RecipeSource:
        """The model of a recipe as a source of tensors, which are merged when they are asked for, unless kept."""
        plan = self.plan(recipe)
        return RecipeSource(plan, partial(self.tensor, recipe), partial(self._prepare, plan), kept)

    def tensor(self, recipe: Recipe, name: str) -> torch.Tensor:
        """One merged tensor, in new memory.

        Raises:
            KeyError: If the model has no such tensor.
            NonFinite: If it is not finite.
        """
        return next(merged for _, merged in self.stream(recipe, names=(name,)))

    def _source(self, source: Source) -> CheckpointSource:
        """An opened source; the model of a recipe merges its tensors when they are asked for, on the CPU."""
        if isinstance(source, Recipe):
            inner = Merger(self.checkpoints, statistics=self._statistics.source)
            inner._prepared = self._prepared.inside()
            return inner.as_source(source, self._prepared.model(source))
        return self.checkpoints[source]

    def _fetched(
        self, tensors: Sequence[OutputTensor], known: Container[str] = ()
    ) -> Iterator[tuple[OutputTensor, list[torch.Tensor]]]:
        """The tensors that are read for each output tensor, its tail the last; none for names that are known."""
        wanted = (() if tensor.name in known else tensor.reads for tensor in tensors)
        return zip(tensors, self._weights.each(wanted), strict=True)

    def _inputs(self, plan: MergePlan, tensor: OutputTensor, read: list[torch.Tensor], common: Common) -> Inputs | None:
        """Context and inputs of a tensor, kept ones or made of the tensors that were read; None of a copy."""
        if tensor.name in common.inputs:
            return common.inputs[tensor.name]
        if tensor.context is None:
            return None
        context, sources = self._with_prepared(plan, tensor, read)
        found = context, replace(sources, survey=common.survey)
        if self._stays(plan, tensor):
            common.inputs[tensor.name] = found
        return found

    def _write(
        self, plan: MergePlan, tensor: OutputTensor, read: list[torch.Tensor], out: torch.Tensor, common: Common
    ) -> Finite:
        """Writes one tensor, and says whether all of it is finite."""
        inputs = self._inputs(plan, tensor, read, common)
        if inputs is None:
            out.copy_(read[0])
        elif not plan.stepped(tensor):
            return self._by_method(plan, tensor, inputs, out)
        else:
            self._stepping.merge(plan, self._merged(plan, tensor, inputs), common.findings, out)
        return finite_flag(out)

    def _by_method(self, plan: MergePlan, tensor: OutputTensor, inputs: Inputs, out: torch.Tensor) -> Finite:
        """Lets the method write one tensor, and says whether all of it is finite."""
        method, values = plan.outputs.method, plan.coefficients(tensor)
        if tensor.sum is not None and method.sums is not None:
            tensor.sum.write(inputs[1].models, *method.sums(tensor.name, values, plan.outputs.options), out)
            return finite_flag(out)
        finite = method.merge(*inputs, values, out)
        return finite_flag(out) if finite is None else finite

    def _with_findings(self, plan: MergePlan, common: Common) -> Common:
        """The state with what the candidate's steps have to know of whole models."""
        merged = partial(self._all_merged, plan, common)
        return replace(common, findings=self._stepping.findings(plan, self._surveyed(plan), merged))

    def _merged(self, plan: MergePlan, tensor: OutputTensor, inputs: Inputs) -> Merged:
        known = partial(self._statistics.of, plan, tensor)
        return Merged(tensor, inputs[1], partial(self._by_method, plan, tensor, inputs), known)

    def _all_merged(self, plan: MergePlan, common: Common) -> Iterator[Merged]:
        for tensor, read in self._fetched(list(plan.outputs.merged.values()), known=common.inputs):
            if (inputs := self._inputs(plan, tensor, read, common)) is not None:
                yield self._merged(plan, tensor, inputs)

    def _stays(self, plan: MergePlan, tensor: OutputTensor) -> bool:
        """Whether a tensor's inputs stay valid across candidates: weights that stay, and prepared arrays that do."""
        kept = plan.outputs.method.prepare is None or self._prepared.stay(plan.outputs, tensor.name)
        return kept and tensor.tail is None and self._weights.stays(tensor.reads)

    def _with_prepared(
        self, plan: MergePlan, tensor: OutputTensor, inputs: list[torch.Tensor]
    ) -> tuple[TensorContext, TensorSources]:
        """One tensor of all sources with what the method prepares for it, kept or, for want of room, made now."""
        context, base, models = tensor.context, None, inputs if tensor.sum else inputs[: len(tensor.inputs)]
        assert context is not None
        if tensor.based and tensor.sum is None:
            base, *models = models
        if plan.outputs.method.prepare is None:
            return context, TensorSources(base, models, plan.outputs.options)
        arrays = self._prepared.get(plan.outputs, tensor.name)
        if arrays is not None:
            placed = partial(self._weights.placed, (plan.outputs.prepared_key, tensor.name), arrays)
            return context, TensorSources(base, models, plan.outputs.options, arrays, placed=placed)
        # Without keys: what is prepared serves every seed.
        method, options = plan.outputs.method, plan.outputs.options
        known = self._statistics.of(plan, tensor, method.needs(options))
        return context, method.sources(replace(context, keys=()), base, models, options, known)

    def _prepare(self, plan: MergePlan, names: Sequence[str]) -> Iterator[tuple[str, Arrays]]:
        for tensor, inputs in self._fetched([plan.outputs.tensors[name] for name in names]):
            yield tensor.name, self._with_prepared(plan, tensor, inputs)[1].prepared

    def _get_ready(self, plan: MergePlan) -> Common:
        """Makes the state that candidates share, unless the last candidate's serves."""
        method, outputs = plan.outputs.method, plan.outputs
        large = method.prepare is not None or method.survey is not None
        found = self._commons.get(large)
        if found is not None and found.key == outputs.survey_key and self._prepared.hold(outputs):
            self._prepared.keep_models(outputs)  # the second candidate of these recipes: more are to be expected
            return found
        self._commons.pop(large, None)  # before more is made
        if outputs.prepared:
            self._weights.forget_arrays()  # of another method, other options or sources
        self._prepared.fill(outputs, partial(self._prepare, plan))
        self._statistics.release()
        survey = None if method.survey is None else method.survey(self._surveyed(plan), outputs.options)
        return self._commons.setdefault(large, Common(outputs.survey_key, survey))

    def _surveyed(self, plan: MergePlan) -> Passes:
        """The tensors that are merged, each with what was prepared for it."""
        tensors = list(plan.outputs.merged.values())
        return Passes(lambda: (self._with_prepared(plan, *found) for found in self._fetched(tensors)))
