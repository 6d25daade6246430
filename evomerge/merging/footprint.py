"""How much memory and disk a merge needs, from headers alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from evomerge.checkpoints import Checkpoint
from evomerge.merging.sources import Sources
from evomerge.merging.work import DTYPES

# Config, tokenizer, recipe and card of a large vocabulary stay well below this.
_COMPANIONS = 64_000_000


@dataclass(frozen=True)
class Footprint:
    """Bytes that a search or a merge needs.

    Attributes:
        live: The model in memory that candidates are installed into.
        working: Buffers while one tensor is merged: the result, and the rounded copies of sources whose type is wider
            than the recipe's.
        mapped: Weights of all checkpoints, read through the page cache; the system keeps what fits.
        export: An exported model folder on disk.
    """

    live: int
    working: int
    mapped: int
    export: int


def footprint(
    sources: Sources, *, model_dtype: str = "float32", dtype: str = "float32", out_dtype: str = "bfloat16"
) -> Footprint:
    """Predicts memory and disk, without what methods prepare and what scoring needs.

    Args:
        sources: The opened checkpoints.
        model_dtype: What the live model computes in.
        dtype: What inputs are rounded to.
        out_dtype: What merged tensors are rounded to.
    """
    reference = sources.reference
    live = sum(
        info.numel * (DTYPES[model_dtype] if info.dtype.is_floating_point else info.dtype).itemsize
        for name, info in reference.tensors.items()
        if name not in reference.aliases
    )
    opened = {id(checkpoint): checkpoint for checkpoint in sources.checkpoints.values()}.values()
    working = 0
    for name in sources.merged_names:
        elements = reference.tensors[name].numel
        copies = sum(_copied(checkpoint, name, DTYPES[dtype]) for checkpoint in opened)
        working = max(working, elements * DTYPES[out_dtype].itemsize + copies)
    mapped = sum(info.nbytes for checkpoint in opened for info in checkpoint.tensors.values())
    return Footprint(live, working, mapped, export_bytes(reference, out_dtype))


def export_bytes(reference: Checkpoint, out_dtype: str) -> int:
    """Disk that a folder with merged weights takes, with a margin for its small files."""
    weights = sum(
        info.numel * (DTYPES[out_dtype] if info.dtype.is_floating_point else info.dtype).itemsize
        for info in reference.tensors.values()
    )
    return weights + _COMPANIONS


def _copied(checkpoint: Checkpoint, name: str, dtype: torch.dtype) -> int:
    info = checkpoint.tensors.get(name)
    if info is None or torch.promote_types(info.dtype, dtype) == dtype:
        return 0
    return info.numel * dtype.itemsize
