"""The tensors of a merged model, as far as all candidates of a search have them in common."""

from __future__ import annotations

import functools
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from evomerge.checkpoints import CheckpointSource, TensorSpec
from evomerge.merging.plan.inputs import Input
from evomerge.merging.plan.sums import LowRankSum
from evomerge.merging.vocabulary.merged import MergedTokenizer
from evomerge.methods import MergeMethod, Need, TensorContext
from evomerge.post import Step

DTYPES: Mapping[str, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass(frozen=True)
class OutputTensor:
    """One tensor of a merged model.

    Attributes:
        name: Its name on disk.
        spec: Its type and shape there.
        inputs: The tensors it is merged from, the base's first if ``based``; or the one that it is a copy of.
        row: The row of its coefficients; None for what is copied as it is: integers, tables that models compute, and
            what only some sources have.
        context: Name, place and random keys for the method; None for copies.
        based: Whether the first input is the base's.
        key: Everything that its bytes depend on, but for coefficients and the device.
        tail: Its last rows, where not all of them are merged: those that some vocabulary does not have.
        sum: The parts of its inputs, where the method adds these up, adapters are among them, and no step follows.
        places: For each input of a merged tensor the place of its source: 0 is the base, the first source is 1.
    """

    name: str
    spec: TensorSpec
    inputs: tuple[Input, ...]
    row: int | None
    context: TensorContext | None
    based: bool
    key: Hashable
    tail: Input | None = None
    sum: LowRankSum | None = None
    places: tuple[int, ...] = ()

    @property
    def reads(self) -> tuple[Input, ...]:
        """All that is read for it: the inputs or their stored parts, and the tail if there is one."""
        if self.sum is not None:
            return self.sum.reads
        return self.inputs if self.tail is None else (*self.inputs, self.tail)

    @property
    def merged_spec(self) -> TensorSpec:
        """Type and shape of the part that is merged: of the tensor, less its tail."""
        if self.tail is None:
            return self.spec
        return TensorSpec(self.spec.dtype, (self.spec.shape[0] - self.tail.shape[0], *self.spec.shape[1:]))

    @property
    def slots(self) -> int:
        """Number of merged tensors, the base not counted."""
        return len(self.inputs) - self.based


@dataclass(frozen=True)
class Outputs:
    """All tensors of a merged model, and what else does not depend on coefficients.

    Attributes:
        method: The recipe's method.
        options: The method's options, resolved.
        tensors: The tensors by name, in the order of the files, without repeated heads.
        kept: Names of the tensors that the template lacks, copied from another source since the recipe keeps them.
        aliases: Repeated heads: name to the tensor that they repeat.
        template: The source whose config, names and tokenizer the model gets.
        config: The content of the model's ``config.json``.
        reshaped: Whether that is another than the reference checkpoint's, so that the model has other tensors.
        prepared_key: Everything that prepared arrays depend on, besides their tensor and the device.
        survey_key: Everything that a survey depends on.
        known_by_content: Whether all sources are known by their weights, so that the keys hold in other processes.
        problems: Why the recipe cannot be built from these sources, one sentence each.
        tokenizer: The model's tokenizer, where embeddings are merged token by token; None for the template's own.
        chat_templates: The model's chat templates by name; None for its tokenizer's own.
        steps: The recipe's steps after the merge, without their coefficients.
        layers: Number of layers that the tensors' names show.
        sources: The opened base and sources.
    """

    method: MergeMethod
    options: Mapping[str, Any]
    tensors: Mapping[str, OutputTensor]
    kept: frozenset[str]
    aliases: Mapping[str, str]
    template: CheckpointSource
    config: Mapping[str, Any]
    reshaped: bool
    prepared_key: str
    survey_key: str
    known_by_content: bool
    problems: tuple[str, ...]
    tokenizer: MergedTokenizer | None = None
    chat_templates: Mapping[str, str] | None = None
    steps: tuple[Step, ...] = ()
    layers: int = 0
    sources: tuple[CheckpointSource, ...] = ()

    @functools.cached_property
    def merged(self) -> Mapping[str, OutputTensor]:
        """The tensors that are merged rather than copied."""
        return {name: tensor for name, tensor in self.tensors.items() if tensor.context is not None}

    @functools.cached_property
    def prepared(self) -> Mapping[str, OutputTensor]:
        """The merged tensors that the method prepares arrays for, however small these are."""
        if self.method.prepare is None:
            return {}
        prepares = self.method.prepares or (lambda context, shape, options: True)
        return {
            name: tensor
            for name, tensor in self.tensors.items()
            if tensor.context is not None and prepares(tensor.context, tensor.merged_spec.shape, self.options)
        }

    @functools.cached_property
    def needs(self) -> tuple[Need, ...]:
        """The needs of method and steps, in the order of a recipe's keys."""
        return needs_of(self.method, self.options, self.steps)

    @functools.cached_property
    def specs(self) -> Mapping[str, TensorSpec]:
        """Type and shape by name, a repeated head right after the tensor that it repeats."""
        heads: dict[str, list[str]] = {}
        for head, name in self.aliases.items():
            heads.setdefault(name, []).append(head)
        found: dict[str, TensorSpec] = {}
        for name, tensor in self.tensors.items():
            found[name] = tensor.spec
            found |= dict.fromkeys(heads.get(name, ()), tensor.spec)
        return found

    def given(self, names: Collection[str] | None) -> dict[str, list[str]]:
        """For each tensor that is made, the names that it is given under: its own, and those wanted that repeat it.

        Args:
            names: The names that are wanted; None is all.
        """
        given: dict[str, list[str]] = {}
        for name in self.specs if names is None else names:
            stored = self.aliases.get(name, name)
            also = given.setdefault(stored, [stored])
            if name != stored:
                also.append(name)
        return given


def needs_of(method: MergeMethod, options: Mapping[str, Any], steps: Sequence[Step]) -> tuple[Need, ...]:
    """The needs of a method and of the steps after it, each once.

    Args:
        method: The method.
        options: Its options, resolved.
        steps: The steps, options resolved.
    """
    wanted = [*method.needs(options), *(need for step in steps for need in step.process.needs(step.options))]
    return tuple(dict.fromkeys(wanted))
