"""Weights laid out once the way matrix products read them, while a model generates in bfloat16 on a CPU.

oneDNN rearranges the weights of every product before it multiplies. Where a pass has few tokens, as passes that write
answers do, that takes as long as the product itself. The products are the same to the last bit.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F

# Most bytes of rearranged weights: they lie beside the model's own.
MOST_BYTES = 1 << 30
# The layout is chosen for products with about so many rows; it serves all others.
_ROWS = 64


@contextmanager
def packed_weights(model: torch.nn.Module) -> Iterator[None]:
    """A context in which linear layers multiply by rearranged copies of their weights, as far as there is room.

    The weights must not change inside.

    Args:
        model: Any model; only layers in bfloat16 on a CPU are touched.
    """
    layers = _with_room(model) if _supported() else []
    for layer in layers:
        packed = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), _ROWS)
        layer.forward = functools.partial(_product, layer, packed)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def packed_bytes(weights: int, dtype: str, device: str) -> int:
    """The most memory that rearranged copies take.

    Args:
        weights: Bytes of the model's weights.
        dtype: Its number type.
        device: Where it is.
    """
    return min(weights, MOST_BYTES) if dtype == "bfloat16" and device == "cpu" and _supported() else 0


def _supported() -> bool:
    """Whether this build of torch and this processor have such products."""
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _with_room(model: torch.nn.Module) -> list[torch.nn.Linear]:
    """The layers whose weights are rearranged, in the model's order, until the room is used up."""
    left, found = MOST_BYTES, []
    for layer in model.modules():
        # Layers whose forward pass somebody has replaced do something else with their weights.
        if type(layer) is not torch.nn.Linear or "forward" in vars(layer):
            continue
        weight = layer.weight
        if weight.device.type == "cpu" and weight.dtype == torch.bfloat16 and 0 < weight.nbytes <= left:
            found.append(layer)
            left -= weight.nbytes
    return found


def _product(layer: torch.nn.Linear, packed: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    if states.dtype != torch.bfloat16 or not states.numel():
        return F.linear(states, layer.weight, layer.bias)
    made: torch.Tensor = torch.ops.mkldnn._linear_pointwise(states, packed, layer.bias, "none", [], "")
    return made
