"""Inputs of a method for one tensor, and the types of the functions that a method declares."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from evomerge.errors import InputError
from evomerge.kernels import flat

if TYPE_CHECKING:
    import torch

    from evomerge.kernels import Finite

T = TypeVar("T")
Options = Mapping[str, Any]
Coefficients = Mapping[str, float | tuple[float, ...]]
"""The values for one tensor: one number, or one per model where the coefficient is per model."""
TensorSet = Iterable[tuple["TensorContext", "TensorSources"]]
"""All tensors of a merge with their prepared arrays. Every iteration over it starts a fresh pass."""
Starts = Mapping[str, Coefficients]
Merge = Callable[["TensorContext", "TensorSources", Coefficients, "torch.Tensor"], "Finite | None"]
"""Writes the merged tensor and may say whether it is finite, see :class:`evomerge.methods.MergeMethod`."""


def by_model(
    found: Iterable[Sequence[T]], option: tuple[str, str, str] = ("scope", "global", "tensor")
) -> list[tuple[T, ...]]:
    """Findings about every model over all tensors, from those about every tensor of all models.

    Args:
        found: The findings about each tensor, one for each model.
        option: The option that asks for it, for messages: its name, its value, and the value without whole models.

    Raises:
        InputError: If tensors are merged from different numbers of models, so that none is a whole model's.
    """
    rows = list(found)
    counts = sorted({len(row) for row in rows})
    if len(counts) > 1:
        numbers = f"{', '.join(map(str, counts[:-1]))} and {counts[-1]}"
        raise InputError(
            f"{option[0]} is {option[1]!r}, so the k-th input of every tensor counts as one model, but the recipe's "
            f"layers have tensors of {numbers} inputs; set method option {option[0]} to {option[2]}, or give all "
            "layers as many inputs as there are sources"
        )
    return list(zip(*rows, strict=True))


@dataclass(frozen=True)
class TensorContext:
    """Identity of the tensor that a method merges.

    Attributes:
        name: Its name in the checkpoints.
        layer: Zero-based layer index, or None outside the layers.
        kind: Module kind, see :data:`evomerge.recipe.MODULE_KINDS`.
        keys: One 64-bit random key per model, from the recipe's seed, the model and the tensor's name, see
            :func:`evomerge.kernels.random_key`.
    """

    name: str
    layer: int | None = None
    kind: str = "other"
    keys: tuple[int, ...] = ()


@dataclass(frozen=True)
class TensorSources:
    """Everything a method merges one tensor from, apart from the coefficients.

    Attributes:
        base: The base's tensor, or None for methods without base.
        models: The tensors to merge, all of the same shape.
        options: The method's options, resolved.
        prepared: The arrays that the method prepared for this tensor.
        survey: The method's findings about all tensors together.
        placed: Gives a prepared array, by its name, where kernels read it beside the tensors; None is as it is.
    """

    base: torch.Tensor | None
    models: Sequence[torch.Tensor]
    options: Options
    prepared: Mapping[str, torch.Tensor] = field(default_factory=dict)
    survey: Any = None
    placed: Callable[[str], torch.Tensor] | None = None
    _memo: dict[Any, Any] = field(init=False, default_factory=dict, repr=False, compare=False)

    @functools.cached_property
    def flat_base(self) -> torch.Tensor:
        """The elements of the base's tensor, shape ``(numel,)``."""
        assert self.base is not None
        return flat(self.base)

    @functools.cached_property
    def flat_models(self) -> tuple[torch.Tensor, ...]:
        """The elements of the models' tensors."""
        return tuple(map(flat, self.models))

    def operand(self, name: str) -> torch.Tensor:
        """A prepared array that kernels read element by element, as they do the tensors: on the same device."""
        return self.prepared[name] if self.placed is None else self.placed(name)

    def memoised(self, make: Callable[[TensorSources, str], T], name: str) -> T:
        """Memoises ``make(self, name)`` across candidates; for small results, such as views."""
        key = (make, name)
        if key not in self._memo:
            self._memo[key] = make(self, name)
        return self._memo[key]
