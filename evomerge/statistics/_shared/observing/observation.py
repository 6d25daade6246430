"""Observation of a forward pass: what goes into each product with watched weights and into each norm, what comes out.

Products are seen where they are computed, by the memory of their weights. So it makes no difference whether a module of
its own computes them, or a loop over experts that are slices of one parameter. Norms, which multiply no matrices, are
seen through hooks on their modules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.overrides import TorchFunctionMode

from evomerge.statistics._shared.observing.regions import Product, storage_of

Use = Product | str
"""A product, or the name of a norm's module."""
Seen = Callable[[Use, torch.Tensor, torch.Tensor | None], torch.Tensor | None]
"""Told of a use, its input and its output (None for norms, which are told of before they run); what it returns, if
anything, stands in for the output."""

_LINEAR = (torch.nn.functional.linear,)
_PRODUCTS = (torch.matmul, torch.mm, torch.Tensor.matmul, torch.Tensor.mm, torch.Tensor.__matmul__)
_SUMS = (torch.addmm, torch.Tensor.addmm)


@contextmanager
def observing(
    norms: Mapping[str, torch.nn.Module],
    storages: frozenset[int],
    seen: Seen,
    unread: Product | None = None,
) -> Iterator[None]:
    """A context in which forward passes tell what they compute.

    Args:
        norms: Modules that scale channels, by name.
        storages: Memory of the weights whose products are told of.
        seen: Told of each use.
        unread: A product whose output nobody reads, the logits: it is not computed, and zeros stand in for it.
    """
    handles = [
        module.register_forward_pre_hook(
            lambda _, args, kwargs, name=name: _told(seen, name, args, kwargs),  # type: ignore[misc]
            with_kwargs=True,
        )
        for name, module in norms.items()
    ]
    try:
        with _Products(storages, seen, unread):
            yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def plain_experts(model: Any) -> Iterator[None]:
    """A context in which mixtures of experts compute one expert after the other, so that the inputs of each are seen.

    Args:
        model: A transformers model.
    """
    before = model.get_experts_implementation()
    # Which experts tokens go to is not known of tensors without values.
    if all(name is None for name in before.values()) or isinstance(next(model.parameters()), FakeTensor):
        yield
        return
    model.set_experts_implementation("eager")
    try:
        yield
    finally:
        model.set_experts_implementation(before)


def _told(seen: Seen, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    given = next((value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor)), None)
    if given is not None:
        seen(name, given, None)


class _Products(TorchFunctionMode):
    """Tells of products with watched weights."""

    def __init__(self, storages: frozenset[int], seen: Seen, unread: Product | None) -> None:
        super().__init__()
        self._storages = storages
        self._seen = seen
        self._unread = unread

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs a function, and tells of it if it is a product with a watched weight."""
        kwargs = kwargs or {}
        found = _operands(function, args, kwargs)
        if found is None or storage_of(found[1]) not in self._storages:
            return function(*args, **kwargs)
        given, weight, transposed = found
        product = Product.of(weight, transposed=transposed)
        if product == self._unread:
            self._seen(product, given, None)
            return given.new_zeros(()).expand(*given.shape[:-1], product.outputs)
        made = function(*args, **kwargs)
        instead = self._seen(product, given, made)
        return made if instead is None else instead


def _operands(function: Any, args: Any, kwargs: Any) -> tuple[torch.Tensor, torch.Tensor, bool] | None:
    """Input, weight, and whether the weight is (inputs, outputs), of a product with a matrix; None of anything else."""
    if function in _LINEAR:
        given = args[0] if args else kwargs.get("input")
        weight, transposed = args[1] if len(args) > 1 else kwargs.get("weight"), False
    elif function in _SUMS and len(args) >= 3:
        given, weight, transposed = args[1], args[2], True
    elif function in _PRODUCTS and len(args) >= 2:
        given, weight, transposed = args[0], args[1], True
    else:
        return None
    whole = isinstance(given, torch.Tensor) and isinstance(weight, torch.Tensor) and weight.ndim == 2
    return (given, weight, transposed) if whole else None
