"""One update of all deltas of a matrix together: prepared where weights are fixed, else found for each candidate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from evomerge.kernels import Finite, flat
from evomerge.methods._shared.coefficients import shared
from evomerge.methods._shared.inputs import Coefficients, Options, TensorContext, TensorSources
from evomerge.methods._shared.spectral.matrices import deltas_of
from evomerge.methods._shared.spectral.updates import (
    Updates,
    add_others,
    add_updates,
    merge_prepared,
    pack_updates,
    updates_bytes,
    weights_of,
)


def prepare_joint(
    make: Updates, context: TensorContext, base: torch.Tensor, models: Sequence[torch.Tensor], options: Options
) -> Mapping[str, torch.Tensor]:
    """The update of a tensor; with searched weights ``decomposed``, one byte. Nothing where none is to decompose.

    Args:
        make: Gives the one update of a matrix.
        context: The tensor.
        base: Its values in the base.
        models: Its values in the models.
        options: The method's.
    """
    stack = deltas_of(context, base, models)
    if stack is None:
        return {}
    if options["weights"] == "searched":
        return {"decomposed": torch.ones(1, dtype=torch.uint8)}
    return pack_updates([make(deltas, options) for deltas in stack], base.shape, options["stored"])


def joint_bytes(shape: Sequence[int], n_models: int, options: Options) -> int:
    """One array of the tensor's shape, or one byte."""
    return 1 if options["weights"] == "searched" else updates_bytes(shape, 1, options)


def merge_joint(
    make: Updates,
    context: TensorContext,
    sources: TensorSources,
    coefficients: Coefficients,
    out: torch.Tensor,
) -> Finite | None:
    """Writes the base plus lambda times the update of the weighted deltas; a model of weight zero takes no part.

    Args:
        make: Gives the one update of a matrix; called where weights are searched.
        context: The tensor.
        sources: With what :func:`prepare_joint` gave.
        coefficients: ``lambda``, and ``weight`` where that is searched.
        out: Memory of the tensor's shape.
    """
    if sources.options["weights"] == "fixed" or out.numel() == 0:
        return merge_prepared(context, sources, coefficients, out)
    if "decomposed" not in sources.prepared:
        return add_others(context, sources, coefficients, out)
    assert sources.base is not None
    weighted = [(m, w) for m, w in zip(sources.models, weights_of(sources, coefficients), strict=True) if w != 0]
    stack = deltas_of(context, sources.base, [model for model, _ in weighted])
    if stack is None:
        return add_updates(sources, (), out)
    for deltas in stack:
        for delta, (_, weight) in zip(deltas, weighted, strict=True):
            delta.mul_(weight)
    found = [flat(update) for deltas in stack for update in make(deltas, sources.options)]
    update = torch.cat(found) if len(found) > 1 else found[0]
    return add_updates(sources, [(update, shared(coefficients["lambda"]))], out)
