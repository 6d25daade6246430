"""Weights as they will be served: rounded to the grid of a weight-only quantisation, in the model's own memory.

The grids are those of torchao 0.18, weight for weight: ``int8`` one scale per row (`Int8WeightOnlyConfig`), ``fp8`` one
scale per row of float8_e4m3 (`Float8WeightOnlyConfig`), ``int4`` a scale and a zero per group of inputs of a row (the
tinygemm grid of `Int4WeightOnlyConfig`). Products are computed by the model in its number type from the rounded
weights, which is what weight-only kernels do up to the order of sums; none of their speed is gained. Linear layers are
rounded, all but the output head, as transformers does with torchao.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from evomerge.candidate.settings import UNQUANTISED
from evomerge.errors import InputError

__all__ = ["quantise", "rounded"]

_GROUPS = (128, 64, 32)  # inputs that share an int4 scale: the most that divide a row
_INT8_STEPS, _INT4_STEPS, _INT4_MIDDLE = 127.5, 15.0, 8
_FLOAT8_LARGEST = 448.0


@torch.no_grad()
def quantise(model: torch.nn.Module, scheme: str) -> int:
    """Rounds a model's weights in place.

    Args:
        model: The model, with weights of its number type.
        scheme: ``int8``, ``int4``, ``fp8``, or ``none``, which does nothing.

    Returns:
        How many layers were rounded.

    Raises:
        InputError: If the model has no layer that can be.
    """
    if scheme == UNQUANTISED:
        return 0
    count = 0
    for weight in _weights(model):
        if (found := rounded(weight, scheme)) is not None:
            weight.copy_(found)
            count += 1
    if not count:
        sizes = f" whose rows are a multiple of {_GROUPS[-1]}" if scheme == "int4" else ""
        raise InputError(f"model.quantise={scheme}: {type(model).__name__} has no linear layers{sizes} to quantise")
    return count


def rounded(weight: torch.Tensor, scheme: str) -> torch.Tensor | None:
    """The weights that a quantised matrix stands for.

    Args:
        weight: ``(rows, inputs)``.
        scheme: As in `quantise`.

    Returns:
        A matrix of the same type; None where the scheme leaves one of this size as it is.
    """
    return _SCHEMES[scheme](weight)


def _weights(model: torch.nn.Module) -> Iterator[torch.Tensor]:
    """The weights of linear layers, but of the output head, and none that embeddings share; each once."""
    embedding = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    head = getattr(model, "get_output_embeddings", lambda: None)()
    seen = embedding | ({id(head.weight)} if isinstance(head, torch.nn.Linear) else set())
    for module in model.modules():
        if isinstance(module, torch.nn.Linear) and id(module.weight) not in seen:
            seen.add(id(module.weight))
            yield module.weight


def _int8(weight: torch.Tensor) -> torch.Tensor:
    largest = weight.abs().amax(dim=1, keepdim=True)
    scale = (largest / _INT8_STEPS).float().clamp(min=torch.finfo(torch.float32).eps)
    steps = torch.round(weight * (1.0 / scale)).clamp(-128, 127)
    return (steps * scale).to(weight.dtype)


def _fp8(weight: torch.Tensor) -> torch.Tensor:
    largest = weight.abs().amax(dim=1, keepdim=True)
    scale = (largest / _FLOAT8_LARGEST).float()
    scale = torch.where(scale > 0.0, scale, 1.0)  # a row of zeros stays one
    steps = (weight.float() / scale).clamp(-_FLOAT8_LARGEST, _FLOAT8_LARGEST).to(torch.float8_e4m3fn)
    return (steps.float() * scale).to(weight.dtype)


def _int4(weight: torch.Tensor) -> torch.Tensor | None:
    size = next((size for size in _GROUPS if weight.shape[1] % size == 0), None)
    if size is None:
        return None
    groups = weight.reshape(weight.shape[0], -1, size)
    low, high = groups.amin(dim=2, keepdim=True), groups.amax(dim=2, keepdim=True)
    scale = ((high - low) / _INT4_STEPS).clamp(min=torch.finfo(weight.dtype).smallest_normal)
    zero = low + scale * _INT4_MIDDLE
    steps = torch.round((groups - (zero - scale * _INT4_MIDDLE)) / scale).clamp(0, _INT4_STEPS)
    return ((steps - _INT4_MIDDLE) * scale + zero).reshape(weight.shape)


_SCHEMES: dict[str, Callable[[torch.Tensor], torch.Tensor | None]] = {"int8": _int8, "int4": _int4, "fp8": _fp8}
