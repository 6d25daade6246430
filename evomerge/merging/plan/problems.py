"""Reasons why a recipe cannot be built from its sources, in sentences: layers, inputs, and how many of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from evomerge.checkpoints import CheckpointSource
from evomerge.merging.checkpoints import is_weight
from evomerge.merging.plan.origins import names_by_layer, renumbered
from evomerge.merging.plan.outputs import OutputTensor
from evomerge.methods import MergeMethod
from evomerge.post import Step
from evomerge.recipe import Recipe

_SHOWN = 3


def input_problems(tensors: Iterable[OutputTensor]) -> Iterator[str]:
    """Tensors that sources lack or have in another shape, a few of each source."""
    found: dict[int, list[str]] = {}
    for tensor in tensors:
        for entry in tensor.inputs:
            spec = entry.source.specs.get(entry.name)
            if spec is not None and entry.shape == tuple(tensor.merged_spec.shape):
                continue
            has = "no such tensor" if spec is None else f"shape {list(spec.shape)}"
            wanted = f"{entry.name!r} for {tensor.name!r}" if entry.name != tensor.name else f"{entry.name!r}"
            found.setdefault(id(entry.source), []).append(
                f"{str(entry.source.path)!r} should hold {wanted} of shape {list(tensor.spec.shape)}, but has {has}"
            )
    for problems in found.values():
        yield from first_of(problems, "more tensors do not fit there")


def first_of(problems: Sequence[str], others: str) -> list[str]:
    """A few of many problems, and how many others there are."""
    left = len(problems) - _SHOWN
    return [*problems[:_SHOWN], *([f"{left} {others}"] if left > 0 else [])]


def layer_problems(recipe: Recipe, named: Mapping[str, CheckpointSource]) -> Iterator[str]:
    """Layers that the recipe names and its sources do not have, or that hold more than the first input."""
    pattern = recipe.groups.layer_pattern
    layers = {where: names_by_layer(source, pattern) for where, source in named.items()}
    for number, layer in enumerate(recipe.layers):
        inputs = [(f"sources[{index}]", inner) for index, inner in layer.inputs]
        inputs += [] if layer.base is None else [("the base", layer.base)]
        first = f"layer {inputs[0][1]} of {inputs[0][0]}"
        known = {renumbered(name, pattern, number) for name in layers[inputs[0][0]].get(inputs[0][1], ())}
        for where, inner in inputs:
            if inner not in layers[where]:
                yield f"layers[{number}] names layer {inner} of {where}, which has {len(layers[where])} layers"
                continue
            weights = [name for name in layers[where][inner] if is_weight(name, named[where].specs[name])]
            more = [name for name in weights if renumbered(name, pattern, number) not in known]
            if known and more:
                yield f"layers[{number}]: {where} has {more[0]!r}, for which there is nothing in {first}"


def count_problems(recipe: Recipe, method: MergeMethod, tensors: Iterable[OutputTensor]) -> Iterator[str]:
    """Tensors that are merged from more or fewer than the method merges, said once for each number."""
    if not recipe.layers:
        return  # the method itself checks what all tensors have in common
    told = set()
    for tensor in tensors:
        if tensor.context is None or (tensor.slots, tensor.based) in told:
            continue
        told.add((tensor.slots, tensor.based))
        of = f"for tensor {tensor.name!r} the recipe"
        for problem in method.input_problems(tensor.slots, tensor.based, of):
            yield f"{problem} (to copy the tensor, freeze its group)"


def step_count_problems(recipe: Recipe, steps: Sequence[Step], tensors: Iterable[OutputTensor]) -> Iterator[str]:
    """Options of steps that do not fit the number of merged models, said once for each number."""
    told = set()
    for tensor in tensors:
        if tensor.context is None or tensor.slots in told:
            continue
        told.add(tensor.slots)
        where = f", tensor {tensor.name!r}" if recipe.layers else ""
        for place, step in enumerate(steps):
            for problem in step.process.count_problems(tensor.slots, step.options):
                yield f"post[{place}]: step {step.process.name}{where}: {problem}"
