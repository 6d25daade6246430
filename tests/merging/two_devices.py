"""A second device on a machine that has one: tensors that say they are elsewhere, and refuse to meet others.

They call themselves ``meta``, but have values: inside :class:`TwoDevices` whatever goes to that device is kept beside,
operations on it are computed, and an operation that gets tensors of both devices fails as it does on a GPU.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

FAR = torch.device("meta")
_COPIES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)


class FarTensor(torch.Tensor):
    """A tensor of the second device."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls: type[FarTensor], inner: torch.Tensor) -> FarTensor:
        """Wraps a tensor of this machine's memory."""
        made = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, inner.shape, strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype,
            device=FAR, requires_grad=False,
        )  # fmt: skip
        made.inner = inner
        return made  # type: ignore[no-any-return]

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, given: Any = (), named: Any = None) -> Any:
        """Computes on the second device."""
        return _computed(function, given, named or {})

    def data_ptr(self) -> int:
        """Where its values lie."""
        return self.inner.data_ptr()

    def tolist(self) -> Any:
        """Its values."""
        return self.inner.tolist()

    def cpu(self) -> torch.Tensor:  # type: ignore[override]
        """A copy on the first device."""
        return self.inner.clone()


class TwoDevices(TorchDispatchMode):
    """A context in which there is a second device."""

    def __torch_dispatch__(self, function: Any, types: Any, given: Any = (), named: Any = None) -> Any:
        """Sends to the second device whatever is made for it."""
        named = named or {}
        wanted = named.get("device")
        if wanted is not None and torch.device(wanted) == FAR:
            inner = function(*tree_map(_inside, given), **{**named, "device": torch.device("cpu")})
            own = isinstance(given[0], torch.Tensor) if given else False
            return FarTensor(inner.clone() if own and inner is given[0] else inner)
        if any(isinstance(leaf, FarTensor) for leaf in tree_leaves((given, named))):
            return _computed(function, given, named)
        return function(*given, **named)


def _computed(function: Any, given: Any, named: Any) -> Any:
    leaves = [leaf for leaf in tree_leaves((given, named)) if isinstance(leaf, torch.Tensor)]
    far = [leaf for leaf in leaves if isinstance(leaf, FarTensor)]
    near = [leaf for leaf in leaves if leaf.device != FAR and leaf.ndim]
    if near and function not in _COPIES:
        raise RuntimeError(f"{function}: expected all tensors to be on the same device, but found two")
    made = function(*tree_map(_inside, given), **tree_map(_inside, named))
    wanted = named.get("device")
    if function is torch.ops.aten.copy_.default:
        return given[0]
    if wanted is not None and torch.device(wanted) != FAR:
        return made
    own = {id(leaf.inner): leaf for leaf in far}  # written in place: the same tensor comes back

    def outside(one: Any) -> Any:
        if not isinstance(one, torch.Tensor):
            return one
        return own[id(one)] if id(one) in own else FarTensor(one)

    return tree_map(outside, made)


def _inside(value: Any) -> Any:
    if isinstance(value, FarTensor):
        return value.inner
    if isinstance(value, torch.Tensor) and value.device == FAR:  # made where no mode looks, and empty
        assert not value.numel()
        return torch.empty(value.shape, dtype=value.dtype)
    return torch.device("cpu") if isinstance(value, torch.device) and value == FAR else value
