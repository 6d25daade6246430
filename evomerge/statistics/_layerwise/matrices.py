"""The matrices of a live model that are modules of their own, their inputs, and new weights for all of it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers.pytorch_utils import Conv1D

from evomerge.merging import LiveModel


@dataclass(frozen=True)
class Matrix:
    """A matrix that multiplies the inputs of one module.

    Attributes:
        name: Its name on disk.
        module: The module.
        transposed: Whether it lies on disk as (inputs, outputs).
    """

    name: str
    module: torch.nn.Module
    transposed: bool = False


def matrices(live: LiveModel) -> dict[str, Matrix]:
    """Name on disk to matrix, of all weights that fill the weight of a linear module as they are.

    What transformers fuses, such as the stacked experts of a layer, is none of them.
    """
    linear = {
        f"{name}.weight": module
        for name, module in live.model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D)
    }
    found: dict[str, Matrix] = {}
    for name, pieces in live.places.items():
        module = linear.get(pieces[0].target)
        if module is not None and len(pieces) == 1 and pieces[0].is_stretch:
            weight: Any = module.weight
            if math.prod(pieces[0].sizes) == weight.numel():
                found[name] = Matrix(name, module, isinstance(module, Conv1D))
    return found


@contextmanager
def inputs_of(wanted: Collection[Matrix]) -> Iterator[dict[str, torch.Tensor]]:
    """Fills a mapping with the inputs of matrices at the last pass, (tokens, inputs), while it is open."""
    seen: dict[str, torch.Tensor] = {}

    def note(name: str) -> Any:
        def hook(module: torch.nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
            seen[name] = arguments[0].detach().reshape(-1, arguments[0].shape[-1])

        return hook

    hooks = [matrix.module.register_forward_pre_hook(note(matrix.name)) for matrix in wanted]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def write(live: LiveModel, tensors: Mapping[str, torch.Tensor]) -> None:
    """Overwrites weights of a live model.

    Args:
        live: The model.
        tensors: Name on disk to values; names that the model has no place for are passed over.
    """
    state = live.model.state_dict()
    for name, tensor in tensors.items():
        whole = tensor.contiguous()
        for piece in live.places.get(name, ()):
            piece.of_target(state[piece.target]).copy_(piece.of_source(whole))
    live.forget()
