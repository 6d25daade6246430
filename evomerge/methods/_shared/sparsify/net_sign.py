"""The sign that most elements of a whole model elect."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Any

from evomerge.methods._shared.inputs import Coefficients, TensorSet
from evomerge.methods._shared.task_vector import Sparsify, net_sign

_REMEMBERED = 256


@dataclass(frozen=True)
class NetSign:
    """The elections of a whole model.

    Attributes:
        tensors: All tensors of the merge.
        sparsify: The masks of their deltas.
    """

    tensors: TensorSet
    sparsify: Sparsify
    _signs: OrderedDict[Any, int] = field(init=False, default_factory=OrderedDict, repr=False)

    def net_sign(self, coefficients: Coefficients) -> int:
        """The sum of the signs that the whole model elects with these coefficients; one pass over all tensors."""
        key = tuple(sorted(coefficients.items()))
        if key not in self._signs:
            self._signs[key] = sum(
                net_sign(context, replace(sources, survey=self), coefficients, self.sparsify)
                for context, sources in self.tensors
            )
            while len(self._signs) > _REMEMBERED:
                self._signs.popitem(last=False)
        return self._signs[key]
