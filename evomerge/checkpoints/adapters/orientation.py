"""Which dimension of a stored matrix runs over its outputs: Conv1D of GPT-2 stores what Linear does, transposed."""

from __future__ import annotations

import functools

from evomerge.checkpoints.heads import is_embedding, is_head
from evomerge.checkpoints.source import CheckpointSource


class Orientation:
    """Tells by shapes, and for square matrices by the base's other ones.

    PEFT looks at the class of the module and corrects the configuration's ``fan_in_fan_out`` to it, for the last module
    that it saw. No class is looked at here: in a base whose matrices inside the layers have biases, these say it.

    Args:
        base: The base.
        configured: The configuration's ``fan_in_fan_out``, for bases that do not tell.
    """

    def __init__(self, base: CheckpointSource, configured: bool) -> None:
        self._base = base
        self._configured = configured

    def transposed(self, name: str, outputs: int, inputs: int) -> bool:
        """Whether a matrix is stored as (inputs, outputs).

        Args:
            name: Its name in the base.
            outputs: Number of its outputs.
            inputs: Number of its inputs.
        """
        if outputs != inputs:
            return self._base.specs[name].shape == (inputs, outputs)
        if is_head(name) or is_embedding(name):
            return False
        return self._configured if self._seen is None else self._seen

    @functools.cached_property
    def _seen(self) -> bool | None:
        """Whether matrices with biases are stored as (inputs, outputs) here; None where there is none that tells."""
        for name, spec in self._base.specs.items():
            bias = self._base.specs.get(f"{name.removesuffix('.weight')}.bias")
            if bias is None or not name.endswith(".weight") or len(spec.shape) != 2 or len(bias.shape) != 1:
                continue
            if spec.shape[0] != spec.shape[1] and bias.shape[0] in spec.shape:
                return bias.shape[0] == spec.shape[1]
        return None
