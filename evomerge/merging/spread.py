"""A model on several devices: whole layers are spread over them, everything else stays on the first.

Embeddings, final norm and output embeddings are on the first device, and what the last layer gives goes back there. So
whoever asks the model gives it tensors of the first device and gets tensors of the first device, wherever layers are;
keys and values stay with their layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from evomerge.errors import InputError

__all__ = ["Spread", "first", "put", "share_out", "shares"]

_STEPS = 50  # of the bisection that shares layers out


@dataclass(frozen=True)
class Spread:
    """Devices that a model's layers are spread over.

    Attributes:
        devices: The devices, two or more; the first is the model's own.
        limits: Most bytes of weights on each; none for equal shares.
    """

    devices: tuple[str, ...]
    limits: tuple[int, ...] = ()

    @property
    def home(self) -> str:
        """The device that the model gets and gives tensors on."""
        return self.devices[0]


def first(place: torch.device | str | Spread) -> torch.device | str:
    """Where a model is built that is then put somewhere: in the host's memory if no device may hold all of it."""
    return "cpu" if isinstance(place, Spread) else place


def put(model: PreTrainedModel, place: torch.device | str | Spread) -> PreTrainedModel:
    """Moves a model to a device, or its layers to several, where its forward pass then follows them.

    Args:
        model: The model, with weights.
        place: Where to.

    Returns:
        The model.

    Raises:
        InputError: If its layers cannot be told, or do not fit.
    """
    if not isinstance(place, Spread):
        return model.to(place)  # type: ignore[arg-type]
    layers = _layers(model)
    chosen = share_out({name: _nbytes(layer) for name, layer in layers.items()}, _nbytes(model), place)
    for name, layer in layers.items():
        layer.to(chosen[name])
        layer.register_forward_pre_hook(_enters(torch.device(chosen[name])), with_kwargs=True)
    for stack in {name.rpartition(".")[0]: layer for name, layer in layers.items()}.values():  # the last of each
        stack.register_forward_hook(_leaves(torch.device(place.home)))
    _put_others(model, layers, place.home)
    return model


def shares(model: PreTrainedModel, spread: Spread, itemsize: int) -> dict[str, int]:
    """Bytes of weights on each device, of a model that may have no memory for its weights.

    Args:
        model: The model.
        spread: The devices.
        itemsize: Bytes per element of the type that it computes in.

    Raises:
        InputError: If its layers cannot be told, or do not fit.
    """
    sizes = {name: _nbytes(layer, itemsize) for name, layer in _layers(model).items()}
    whole = _nbytes(model, itemsize)
    chosen = share_out(sizes, whole, spread)
    found = dict.fromkeys(spread.devices, 0)
    found[spread.home] = whole - sum(sizes.values())
    for name, device in chosen.items():
        found[device] += sizes[name]
    return found


def share_out(sizes: Mapping[str, int], whole: int, spread: Spread) -> dict[str, str]:
    """Shares layers out in their order, so that the device with the most for its limit has as little as can be.

    Args:
        sizes: Bytes by layer, in the order that they run in.
        whole: Bytes of the model.
        spread: The devices.

    Returns:
        Device by layer.

    Raises:
        InputError: If the limits do not let the model in.
    """
    limits = spread.limits or (whole,) * len(spread.devices)
    rest = whole - sum(sizes.values())
    best = _filled(sizes, rest, limits)
    if best is None:
        room = ", ".join(f"{limit} on {device}" for device, limit in zip(spread.devices, limits, strict=True))
        raise InputError(
            f"model.max_memory: weights of {whole} bytes, {rest} of them outside of layers and so on {spread.home}, do "
            f"not fit into {room}; allow more, or give each worker more devices"
        )
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        found = _filled(sizes, rest, [middle * limit for limit in limits])
        low, high, best = (middle, high, best) if found is None else (low, middle, found)
    return {name: spread.devices[place] for name, place in best.items()}


def _filled(sizes: Mapping[str, int], rest: int, limits: Sequence[float]) -> dict[str, int] | None:
    """Fills one device after the other up to its limit; None where that does not hold all."""
    found: dict[str, int] = {}
    place, load = 0, float(rest)
    for name, size in sizes.items():
        while load + size > limits[place]:
            place, load = place + 1, 0.0
            if place == len(limits):
                return None
        found[name], load = place, load + size
    return found if rest <= limits[0] else None


def _layers(model: PreTrainedModel) -> dict[str, nn.Module]:
    """The layers that transformers says must not be split, by name, in their order.

    Raises:
        InputError: If it says so of none, or if layers share weights.
    """
    kinds = {str(kind) for kind in getattr(model, "_no_split_modules", None) or ()}
    stacks = [name for name, module in model.named_modules() if isinstance(module, nn.ModuleList)]
    found: dict[str, nn.Module] = {}
    for stack in stacks:
        if any(stack.startswith(f"{name}.") for name in found):
            continue  # inside a layer, such as its experts
        inside = {f"{stack}.{name}": layer for name, layer in model.get_submodule(stack).named_children()}
        found |= {name: layer for name, layer in inside.items() if type(layer).__name__ in kinds}
    name = type(model).__name__
    if not found:
        raise InputError(
            f"model.device_map: transformers does not say which layers of {name} may lie on devices of their "
            "own; leave device_map out, with which the model is on one"
        )
    weights = [id(weight) for layer in found.values() for weight in layer.parameters()]
    if len(set(weights)) < len(weights):
        raise InputError(f"model.device_map: layers of {name} share weights and have to lie on one device")
    return found


def _nbytes(module: nn.Module, itemsize: int | None = None) -> int:
    """Bytes of a module's weights, shared ones once."""
    weights = {id(weight): weight for weight in module.parameters()}.values()
    return sum(weight.numel() * (itemsize or weight.element_size()) for weight in weights)


def _put_others(model: PreTrainedModel, layers: Mapping[str, nn.Module], home: str) -> None:
    """Moves all that is in no layer: the layers are taken out meanwhile."""
    parents = {name: model.get_submodule(name.rpartition(".")[0]) for name in layers}
    for name, parent in parents.items():
        parent._modules[name.rpartition(".")[2]] = nn.Identity()
    try:
        model.to(home)  # type: ignore[arg-type]
    finally:
        for name, parent in parents.items():
            parent._modules[name.rpartition(".")[2]] = layers[name]


def _enters(device: torch.device) -> Callable[..., Any]:
    """A hook that brings what a layer is given to its device."""

    def hook(_layer: nn.Module, given: Any, named: Any) -> Any:
        return _moved(given, device), _moved(named, device)

    return hook


def _leaves(device: torch.device) -> Callable[..., Any]:
    """A hook that brings what a layer gives to a device."""

    def hook(_layer: nn.Module, _given: Any, output: Any) -> Any:
        return _moved(output, device)

    return hook


def _moved(value: Any, device: torch.device) -> Any:
    """A value with its tensors on a device; keys and values that are kept move with nobody."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if type(value) in (tuple, list):
        return type(value)(_moved(inner, device) for inner in value)
    if type(value) is dict:
        return {name: _moved(inner, device) for name, inner in value.items()}
    return value
