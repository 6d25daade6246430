"""Whether two sources hold equal weights, found without reading more of them than it takes."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from evomerge.checkpoints.source import CheckpointSource

_BLOCK = 1 << 24
_SMALL = 1 << 16


def same_weights(one: CheckpointSource, other: CheckpointSource) -> bool:
    """Whether two sources have the same names, types, shapes and values: whether their fingerprints are equal.

    Small tensors are compared first and the first difference ends it, so models that differ are told apart after little
    of them is read. Equal ones are read to the end.
    """
    forms = [{name: (spec.dtype, spec.shape) for name, spec in source.specs.items()} for source in (one, other)]
    if forms[0] != forms[1]:
        return False
    names = sorted(one.specs, key=lambda name: (one.specs[name].nbytes, name))
    try:
        return all(_same_bytes(one.tensor(name), other.tensor(name)) for name in names)
    finally:
        one.release()
        other.release()


def differ(one: CheckpointSource, other: CheckpointSource, names: Iterable[str]) -> bool:
    """Whether two sources differ in a small tensor among some; a module that was trained does in its biases and norms.

    Args:
        one: A source.
        other: Another.
        names: Tensors of both; large ones are not read.
    """
    for name in names:
        spec, found = one.specs.get(name), other.specs.get(name)
        if spec is None or found is None or spec.nbytes > _SMALL:
            continue
        same = (spec.dtype, spec.shape) == (found.dtype, found.shape)
        if same and not _same_bytes(one.tensor(name), other.tensor(name)):
            return True
    return False


def _same_bytes(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors of one shape hold the same bits: as values, zero equals minus zero, and no NaN itself."""
    if not one.numel() or one.data_ptr() == other.data_ptr():  # of adapters on one base, most tensors are the base's
        return True
    blocks = (tensor.reshape(-1).view(torch.uint8).split(_BLOCK) for tensor in (one, other))
    return all(torch.equal(ours, theirs) for ours, theirs in zip(*blocks, strict=True))
