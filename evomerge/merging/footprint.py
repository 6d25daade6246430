"""Prediction of the memory and disk that a merge takes, from headers alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evomerge.checkpoints import CheckpointSource, TensorSpec, computed_bytes, stored_bytes
from evomerge.errors import InputError
from evomerge.merging.checkpoints import Checkpoints
from evomerge.merging.loop import Merger
from evomerge.merging.plan.inputs import Input
from evomerge.merging.plan.outputs import DTYPES, Outputs, OutputTensor
from evomerge.merging.plan.recipe_source import RecipeSource
from evomerge.merging.prepared import Place, PreparedSettings, inner_sources, places, prepared_bound, prepared_bounds
from evomerge.recipe import Recipe

# Config, tokenizer, recipe and card of a large vocabulary stay well below this.
_COMPANIONS = 64_000_000
# Where the system does not say: Python 3.11, torch 2.13 for the CPU, transformers 5.23 and lm-eval 0.4.13, loaded.
_PROGRAM = 550_000_000

Places = Mapping[str, Mapping[str, Place]]
"""Where the prepared arrays of each method find room, by tensor."""


@dataclass(frozen=True)
class Footprint:
    """Bytes that a search or a merge needs.

    Attributes:
        program: The interpreter and the libraries: what this process takes as it is.
        live: The model in memory that candidates are installed into.
        working: Buffers while one tensor is prepared or merged: the result, where the model computes in another type
            than it is rounded to, the rounded copies of sources whose type is wider than the recipe's, the tensors that
            adapters change, what the method prepares for that tensor where this is not kept, what a method takes that
            is written for whole tensors or decomposes them, and the merged delta where steps follow, with what these
            take. Blocks that other methods compute in are a few megabytes.
        mapped: Weights of all checkpoints, and of adapters on them their own tensors. They are mapped files: the
            workers of a machine share them, and the system takes their memory back where it is short.
        prepared: The most that the method prepares, and the methods of recipes inside, by place, and what steps keep in
            memory of all sources: ``disk`` is mapped as
            well, ``memory`` is each worker's own, ``nowhere`` is what the limits have no room for, so that it is
            prepared anew for every candidate.
        export: An exported model folder on disk.
    """

    program: int
    live: int
    working: int
    mapped: int
    prepared: Mapping[Place, int]
    export: int

    @property
    def worker(self) -> int:
        """Most resident memory of one worker, mapped files included, before it scores anything."""
        return self.own + self.shared

    @property
    def own(self) -> int:
        """Private memory of each worker."""
        return self.program + self.live + self.working + self.prepared["memory"]

    @property
    def shared(self) -> int:
        """Files that the workers of a machine map together."""
        return self.mapped + self.prepared["disk"]


def footprint(
    checkpoints: Checkpoints, recipe: Recipe, *, model_dtype: str = "float32", prepared: PreparedSettings | None = None
) -> Footprint:
    """Predicts memory and disk from headers, without what scoring needs.

    Args:
        checkpoints: The opened checkpoints.
        recipe: Any candidate's; its coefficients do not matter.
        model_dtype: The type that the live model computes in.
        prepared: Where prepared arrays are kept.

    Raises:
        InputError: If the recipe cannot be built from these checkpoints.
    """
    outputs = Merger(checkpoints).outputs(recipe)
    if outputs.problems:
        raise InputError(outputs.problems)
    computing = DTYPES[model_dtype]
    live = sum(
        tensor.spec.numel * (computing if tensor.spec.dtype.is_floating_point else tensor.spec.dtype).itemsize
        for tensor in outputs.tensors.values()
    )
    found = places(outputs, prepared or PreparedSettings())
    working = 0
    for tensor in outputs.tensors.values():
        buffer = 0 if tensor.row is None or computing == tensor.spec.dtype else tensor.spec.nbytes
        working = max(working, buffer + _working(outputs, tensor, found))
    opened = {id(checkpoint): checkpoint for checkpoint in checkpoints.by_ref.values()}.values()
    mapped = sum(map(stored_bytes, opened))
    return Footprint(resident(), live, working, mapped, _kept(outputs, found), export_bytes(outputs.specs))


def export_bytes(specs: Mapping[str, TensorSpec]) -> int:
    """Disk that a folder with these weights takes, with a margin for its small files."""
    return sum(spec.nbytes for spec in specs.values()) + _COMPANIONS


def _kept(outputs: Outputs, found: Places) -> dict[Place, int]:
    """Bytes that the methods of a recipe and of those inside prepare, by place; what two share is counted once."""
    every = (*(source.plan.outputs for source in inner_sources(outputs)), outputs)
    bounds = {(own.prepared_key, name): most for own in every for name, most in prepared_bounds(own).items()}
    kept: dict[Place, int] = {"disk": 0, "memory": 0, "nowhere": 0}
    for (key, name), most in bounds.items():
        kept[found[key][name]] += most
    shapes = [tensor.merged_spec.shape for tensor in outputs.merged.values()]
    kept["memory"] += sum(step.process.kept_bytes(shapes, step.options) for step in outputs.steps)
    return kept


def _working(outputs: Outputs, tensor: OutputTensor, found: Places) -> int:
    """Memory, beside the result and blocks, that merging one tensor takes."""
    read = sum(_read(entry, found) for entry in tensor.reads)
    if tensor.context is None:
        return read
    if tensor.sum is not None:
        return read + tensor.sum.working_bytes
    shape, method = tensor.merged_spec.shape, outputs.method
    left_out = method.prepares is not None and not method.prepares(tensor.context, shape, outputs.options)
    own = 0 if left_out else method.working_bytes(shape, len(tensor.inputs), outputs.options)
    anew = found[outputs.prepared_key].get(tensor.name) == "nowhere"
    return own + read + (prepared_bound(outputs, tensor) if anew else 0) + _stepping(outputs, tensor)


def _stepping(outputs: Outputs, tensor: OutputTensor) -> int:
    """Memory that steps after the merge take: the merged delta in float32, and what they say themselves."""
    if not outputs.steps:
        return 0
    spec = tensor.merged_spec
    most = max(step.process.working_bytes(spec.shape, tensor.slots, step.options) for step in outputs.steps)
    return 4 * spec.numel + most


def _read(entry: Input, found: Places) -> int:
    """Memory that one input takes: none where it is mapped, else a copy, or all that computing it takes."""
    return entry.copied_bytes + sum(_computed(source, name, found) for source, name in entry.read_from)


def _computed(source: CheckpointSource, name: str, found: Places) -> int:
    """Memory that a source's tensor takes: none where it is mapped, else all that computing it takes."""
    if not isinstance(source, RecipeSource):
        return computed_bytes(source, name)
    outputs = source.plan.outputs
    inner = outputs.tensors[outputs.aliases.get(name, name)]
    return inner.spec.nbytes + _working(outputs, inner, found)


def resident() -> int:
    """Resident memory of this process as it is now."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return _PROGRAM
    return pages * os.sysconf("SC_PAGE_SIZE")
