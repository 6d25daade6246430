"""Tensors that only some of a recipe's sources have, and what the recipe makes of them."""

from __future__ import annotations

from collections.abc import Iterable

from evomerge.checkpoints import CheckpointSource, TensorSpec, is_head, is_vocabulary, untied_heads
from evomerge.merging.checkpoints import is_weight
from evomerge.merging.plan.inputs import Input
from evomerge.merging.plan.outputs import OutputTensor


def lacks_match(name: str, spec: TensorSpec, inputs: Iterable[tuple[CheckpointSource, str]]) -> bool:
    """Whether some input of a tensor is not there, or has another shape than the tensor.

    Embeddings with other rows only are none of these: their rows are tokens, which have rules of their own.

    Args:
        name: The output tensor.
        spec: Its type and shape.
        inputs: The source and the name there of each input.
    """
    for source, own in inputs:
        found = source.specs.get(own)
        if found is None:
            return True
        rows_only = is_vocabulary(name) and found.shape[1:] == spec.shape[1:]
        if tuple(found.shape) != tuple(spec.shape) and not rows_only:
            return True
    return False


def surplus(template: CheckpointSource, source: CheckpointSource) -> list[str]:
    """Weights of a source that the template has none for, heads that repeat its embeddings apart."""
    return [
        name
        for name, spec in source.specs.items()
        if name not in template.specs and name not in source.aliases and is_weight(name, spec)
    ]


def second_heads(template: CheckpointSource, names: Iterable[str]) -> list[str]:
    """Those of some names that are output embeddings, where the template ties its own to the input embeddings."""
    return [] if untied_heads(template) else [name for name in names if is_head(name)]


def kept(
    template: CheckpointSource, sources: Iterable[tuple[str, CheckpointSource, Iterable[str]]]
) -> dict[str, OutputTensor]:
    """Copies of the tensors that the template lacks, each of the first source that has it, in the type it has there.

    Args:
        template: The source whose names the model gets.
        sources: Identity of each source, the source, and the names that it has and the template lacks.
    """
    found: dict[str, OutputTensor] = {}
    for identity, source, names in sources:
        for name in names:
            if name not in found and name not in second_heads(template, [name]):
                key = ("kept", identity, name)
                spec = TensorSpec(source.specs[name].dtype, tuple(source.specs[name].shape))
                found[name] = OutputTensor(name, spec, (Input(source, name),), None, None, False, key)
    return found
