"""Memory and time of a computation that is not carried out: tensors without values, counted as they come and go.

The very code that will run runs on tensors that have shapes and no memory, so a prediction knows every architecture
that the code knows. Small workspaces inside of kernels are not seen.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from evomerge.statistics._shared.machine import Machine

_REPEATED: ContextVar[int] = ContextVar("repeated", default=1)


@contextmanager
def repeated(times: int) -> Iterator[None]:
    """A context in which operations stand for as many like them, one after the other in the same memory."""
    token = _REPEATED.set(times)
    try:
        yield
    finally:
        _REPEATED.reset(token)


class Meter(TorchDispatchMode):
    """Counts the bytes of tensors that are made while it is active, and the time that operations would take.

    Args:
        there: Tensors that are there before; their memory is not counted.
        machine: Whose time; None: of no machine.

    Attributes:
        peak: Most bytes alive at one time.
        operations: Floating-point operations of matrix products.
        seconds: Seconds of all operations.
    """

    def __init__(self, there: Iterable[torch.Tensor], machine: Machine | None = None) -> None:
        super().__init__()
        self.peak = 0
        self.operations = 0
        self.seconds = 0.0
        self._machine = machine
        self._alive = 0
        self._known: dict[int, Any] = {}
        for tensor in there:
            self._outside(tensor)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs an operation and counts what it makes."""
        kwargs = kwargs or {}
        given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)]
        for tensor in given:
            self._outside(tensor)
        made = func(*args, **kwargs)
        count = _counting(func)
        operations = 0 if count is None else int(count(*args, **kwargs, out_val=made)) * _REPEATED.get()
        self.operations += operations
        results = [one for one in tree_leaves(made) if isinstance(one, torch.Tensor)]
        for tensor in results:
            self._count(tensor)
        here = {_memory(one) for one in given}
        computes = func._schema.is_mutable or any(_memory(one) not in here for one in results)
        if self._machine is not None and computes:  # all else are views
            read = sum(one.nbytes for one in {id(one): one for one in given}.values())
            moved = (read + sum(one.nbytes for one in results)) * _REPEATED.get()
            self.seconds += self._machine.seconds(operations, moved)
        return made

    def _outside(self, tensor: torch.Tensor) -> None:
        """Knows a tensor that came from outside until it goes: its place in memory may be another's then."""
        key = _memory(tensor)
        if key not in self._known:
            self._known[key] = weakref.finalize(tensor.untyped_storage(), self._gone, key, 0)

    def _count(self, tensor: torch.Tensor) -> None:
        key = _memory(tensor)
        if key in self._known:
            return
        storage = tensor.untyped_storage()
        size = int(storage.nbytes())
        if self._machine is not None:
            self.seconds += self._machine.new_memory(size)
        self._known[key] = weakref.finalize(storage, self._gone, key, size)
        self._alive += size
        self.peak = max(self.peak, self._alive)

    def _gone(self, key: int, size: int) -> None:
        self._known.pop(key, None)
        self._alive -= size


@functools.cache
def _counting(func: Any) -> Any:
    """The function that counts an operation's arithmetic; that of the same one that makes new memory, if need be."""
    name = func._overloadpacket.__name__.removesuffix("_")
    return flop_registry.get(func._overloadpacket, flop_registry.get(getattr(torch.ops.aten, name, None)))


def spread_evenly(model: torch.nn.Module) -> None:
    """Has the experts of a model without values get equal shares of the tokens: where they go is not known of it."""
    for module in model.modules():
        if hasattr(module, "_apply_gate") and hasattr(module, "has_gate"):
            module.forward = functools.partial(_even_experts, module)  # type: ignore[method-assign]


def _even_experts(module: Any, states: torch.Tensor, chosen: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """One expert after the other, as transformers computes them without further kernels."""
    made = torch.zeros_like(states)
    first = module.gate_up_proj if module.has_gate else module.up_proj
    rows = torch.arange(min(len(states), -(-chosen.numel() // len(first))))
    for index in range(len(first)):
        inner = _product(states[rows], first[index], module.is_transposed)
        inner = module._apply_gate(inner) if module.has_gate else module.act_fn(inner)
        outer = _product(inner, module.down_proj[index], module.is_transposed)
        made.index_add_(0, rows, (outer * weights[rows, 0, None]).to(made.dtype))
    return made


def _product(states: torch.Tensor, matrix: torch.Tensor, transposed: bool) -> torch.Tensor:
    return states @ matrix if transposed else torch.nn.functional.linear(states, matrix)


def _memory(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
