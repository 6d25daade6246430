"""Statistics: what methods and steps need to know of a model's activations and gradients on texts.

A statistic is computed once of a model on texts and kept; a method says which ones it needs and gets, for one tensor,
one array of each model. The layout of the arrays, for a weight of shape ``(out, in)``, all float32:

===============  =========================================================================================
``gram``         ``(in, in)``: the mean over tokens of ``x x^T``; ``(in,)``: its diagonal alone, where the input is
                 wider than the user's limit; None where the tensor is no weight of a linear layer
``channel_abs``  ``(in,)``: how large each input channel is; of norms ``(channels,)``; None of embeddings and biases
``fisher``       the tensor's own shape: the mean over sequences of the squared gradient
``snip``         the tensor's own shape: the magnitude of each weight times the sum of its gradients' magnitudes
``dam``          ``(in,)``: factors of this model's columns; None is 1 over the number of models for all of them
===============  =========================================================================================

What has one number for each channel spreads over the tensor: where a matrix is stored as ``(in, out)``, as in GPT-2, it
is ``(in, 1)``. Of the Gram matrix there is the diagonal alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from evomerge.errors import InputError
from evomerge.kernels import is_finite

Statistics = Mapping[str, tuple[torch.Tensor | None, ...]]
"""The statistics of one tensor by :attr:`Need.key`: one array per model, or exactly one of the base.

None where a tensor has none, such as the Gram matrix of a norm."""


@dataclass(frozen=True)
class Need:
    """One statistic that a method or a step reads.

    Attributes:
        statistic: Its name.
        of: Whose forward or backward pass it comes from: that of every merged model, or that of the base.
        texts: The texts it is computed on: ``own`` are those of that model, ``shared`` is one set for all. Of a base,
            ``own`` are the texts of every model in turn, so that it has one array per model too.
    """

    statistic: str
    of: Literal["models", "base"] = "models"
    texts: Literal["own", "shared"] = "own"

    @property
    def key(self) -> str:
        """Its name among the statistics of a tensor: that of a base beside one of the models has a name of its own."""
        return self.statistic if self.of == "models" else f"base:{self.statistic}"

    def count(self, n_models: int) -> int:
        """The number of arrays for so many models."""
        return 1 if self.of == "base" and self.texts == "shared" else n_models


def chosen(who: str, tensor: str, needs: Sequence[Need], given: Statistics | None, n_models: int) -> Statistics:
    """The statistics that are needed, of those that are given.

    Args:
        who: Who needs them, for messages, such as ``method fisher``.
        tensor: The tensor's name.
        needs: What is needed.
        given: By :attr:`Need.key`.
        n_models: The number of models.

    Raises:
        InputError: If there are none of that name, or too few or too many; all of them.
    """
    given, problems = given or {}, []
    for need in needs:
        found, wanted = given.get(need.key), need.count(n_models)
        if found is None:
            of = "the base" if need.of == "base" else "every model"
            problems.append(
                f"{who} needs statistic {need.statistic!r} of {of} on {need.texts} texts for tensor {tensor!r}, and "
                "there is none; have it collected, or take a method that reads weights alone"
            )
        elif len(found) != wanted:
            problems.append(
                f"{who}: expected {wanted} arrays of statistic {need.key!r} for tensor {tensor!r}, got {len(found)}"
            )
    if problems:
        raise InputError(problems)
    return {need.key: given[need.key] for need in needs}


def sound(
    name: str, statistic: str, arrays: Sequence[torch.Tensor | None], shapes: Sequence[Sequence[int]]
) -> list[torch.Tensor] | None:
    """The arrays of a tensor, float32 and on the CPU; None where a model has none.

    Args:
        name: The tensor's name.
        statistic: The statistic's.
        arrays: One for each model, or that of the base.
        shapes: The shapes that an array may have.

    Raises:
        InputError: If arrays have other shapes, or elements that are not finite; all of them.
    """
    found = [None if array is None else array.detach().to("cpu", torch.float32).contiguous() for array in arrays]
    wanted, problems = [tuple(shape) for shape in shapes], []
    for number, array in enumerate(found):
        what = f"statistic {statistic!r} of model {number} for tensor {name!r}"
        if array is not None and tuple(array.shape) not in wanted:
            known = " or ".join(map(str, wanted))
            problems.append(f"{what} has shape {tuple(array.shape)}; expected {known}: it is another model's")
        elif array is not None and not is_finite(array):
            problems.append(f"{what} is not finite; collect it again, in float32, on texts that the model can read")
    if problems:
        raise InputError(problems)
    arrays_of_all = [array for array in found if array is not None]
    return arrays_of_all if len(arrays_of_all) == len(found) else None


def channel_shapes(shape: Sequence[int]) -> list[tuple[int, ...]]:
    """The shapes of arrays with one number for each input channel of a tensor."""
    columns: list[tuple[int, ...]] = [(shape[-1],)] if shape else []
    return [*columns, (shape[0], 1)] if len(shape) == 2 else columns
