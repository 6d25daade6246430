"""How much memory and disk a merge needs, from headers alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from evomerge import methods
from evomerge.checkpoints import CheckpointSource
from evomerge.merging.opened import Checkpoints
from evomerge.merging.plan import DTYPES
from evomerge.merging.prepared import Place, PreparedSettings, prepared_bounds
from evomerge.recipe import Recipe

# Config, tokenizer, recipe and card of a large vocabulary stay well below this.
_COMPANIONS = 64_000_000
# Where the system does not say: Python 3.11, torch 2.13 for the CPU, transformers 5.23 and lm-eval 0.4.13, loaded.
_PROGRAM = 550_000_000


@dataclass(frozen=True)
class Footprint:
    """Bytes that a search or a merge needs.

    Attributes:
        program: The interpreter and the libraries: what this process takes as it is.
        live: The model in memory that candidates are installed into.
        working: Buffers while one tensor is merged: the result, where the model computes in another type than it is
            rounded to, the rounded copies of sources whose type is wider than the recipe's, and what a method written
            for whole tensors takes. Blocks that other methods compute in are a few megabytes.
        mapped: Weights of all checkpoints. They are mapped files: the workers of a machine share them, and the system
            takes their memory back where it is short.
        prepared: The most that the method prepares, by place: ``disk`` is mapped as well, ``memory`` is each worker's
            own, ``nowhere`` is what the limits have no room for, so that it is prepared anew for every candidate.
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
        """What each worker has for itself."""
        return self.program + self.live + self.working + self.prepared["memory"]

    @property
    def shared(self) -> int:
        """What the workers of a machine map."""
        return self.mapped + self.prepared["disk"]


def footprint(
    checkpoints: Checkpoints, recipe: Recipe, *, model_dtype: str = "float32", prepared: PreparedSettings | None = None
) -> Footprint:
    """Predicts memory and disk from headers, without what scoring needs.

    Args:
        checkpoints: The opened checkpoints.
        recipe: Any candidate's; its coefficients and groups do not matter.
        model_dtype: What the live model computes in.
        prepared: Where prepared arrays are kept.
    """
    reference, method = checkpoints.reference, methods.load(recipe.method)
    computing, dtype, rounded = DTYPES[model_dtype], DTYPES[recipe.dtype], DTYPES[recipe.out_dtype]
    live = sum(
        info.numel * (computing if info.dtype.is_floating_point else info.dtype).itemsize
        for name, info in reference.specs.items()
        if name not in reference.aliases
    )
    opened = {id(checkpoint): checkpoint for checkpoint in checkpoints.by_ref.values()}.values()
    working = 0
    for name in checkpoints.merged_names:
        buffer = 0 if computing == rounded else reference.specs[name].numel * rounded.itemsize
        copies = sum(_copied(checkpoint, name, dtype) for checkpoint in opened)
        own = method.working_bytes(reference.specs[name].numel, len(opened))
        working = max(working, buffer + copies + own)
    mapped = sum(info.nbytes for checkpoint in opened for info in checkpoint.specs.values())
    kept: dict[Place, int] = {"disk": 0, "memory": 0, "nowhere": 0}
    bounds = prepared_bounds(recipe, checkpoints)
    for name, place in (prepared or PreparedSettings()).plan(bounds).items():
        kept[place] += bounds[name]
    return Footprint(_resident(), live, working, mapped, kept, export_bytes(reference, recipe.out_dtype))


def _resident() -> int:
    """Resident memory of this process as it is now."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return _PROGRAM
    return pages * os.sysconf("SC_PAGE_SIZE")


def export_bytes(reference: CheckpointSource, out_dtype: str) -> int:
    """Disk that a folder with merged weights takes, with a margin for its small files."""
    weights = sum(
        info.numel * (DTYPES[out_dtype] if info.dtype.is_floating_point else info.dtype).itemsize
        for info in reference.specs.values()
    )
    return weights + _COMPANIONS


def _copied(checkpoint: CheckpointSource, name: str, dtype: torch.dtype) -> int:
    info = checkpoint.specs.get(name)
    if info is None or torch.promote_types(info.dtype, dtype) == dtype:
        return 0
    return info.numel * dtype.itemsize
