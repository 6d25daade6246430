"""Rows of embeddings: which are merged where vocabularies have different numbers of them."""

from __future__ import annotations

from collections.abc import Sequence

from evomerge.checkpoints import is_vocabulary
from evomerge.merging.plan.inputs import Input


def common_rows(
    inputs: Sequence[Input], model: Input, shape: Sequence[int]
) -> tuple[tuple[Input, ...], Input | None, int | None]:
    """Finds the rows that all inputs of an output tensor have.

    Rows of one number mean the same token in all of them. The first that all have are merged; those that only some have
    stay as the model has them that gives the output its shape, and what that one lacks is left out.

    Args:
        inputs: What is merged.
        model: The tensor of the model that gives the output its shape.
        shape: That shape.

    Returns:
        The inputs, their rows chosen; the output's other rows, None where all are merged; and the number of rows that
        are merged, None where that is what every input has, as for all tensors that hold no vocabulary.
    """
    specs = [entry.source.specs.get(entry.name) for entry in inputs]
    if not is_vocabulary(inputs[0].name) or any(spec is None or spec.shape[1:] != tuple(shape[1:]) for spec in specs):
        return tuple(inputs), None, None
    counts = [spec.shape[0] for spec in specs if spec is not None and spec.shape]
    common = min([shape[0], *counts])
    if {shape[0], *counts} == {common}:
        return tuple(inputs), None, None
    tail = model.of_rows(common, shape[0]) if common < shape[0] else None
    return tuple(entry.of_rows(0, common) for entry in inputs), tail, common
