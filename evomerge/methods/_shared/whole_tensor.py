"""Adapter for methods that are plain functions of whole tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evomerge.methods._shared.inputs import Coefficients, Merge, Options, TensorContext, TensorSources

if TYPE_CHECKING:
    import torch

    from evomerge.kernels import Finite

Function = Callable[
    [TensorContext, "torch.Tensor | None", Sequence["torch.Tensor"], Coefficients, Options], "torch.Tensor"
]

# The result of a function of whole tensors, and five intermediates of the same size: memory of those that are freed
# often stays with the process.
_EXTRA_COPIES = 6


@dataclass(frozen=True)
class WholeTensor:
    """A method's ``merge`` that takes float32 copies of everything."""

    function: Function

    def __call__(
        self, context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
    ) -> Finite | None:
        base = None if sources.base is None else sources.base.detach().float()
        models = [model.detach().float() for model in sources.models]
        merged = self.function(context, base, models, coefficients, sources.options)
        if merged.shape != out.shape:  # copying would repeat the elements
            raise ValueError(
                f"expected the function to return tensor {context.name!r} of shape {list(out.shape)}, it returned "
                f"{list(merged.shape)}"
            )
        out.detach().copy_(merged)
        return None


def whole_tensor(function: Function) -> Merge:
    """Makes a method's ``merge`` from a plain function of whole tensors.

    Args:
        function: Called with the context, the base (or None), the models, the coefficients and the options. Base and
            models are float32; it returns the merged tensor and writes to none of them. Its memory is predicted as
            that of these copies, of the result and of five intermediates of the same size.

    Returns:
        A function for :attr:`evomerge.methods.MergeMethod.merge`, for a method without ``prepare``.
    """
    return WholeTensor(function)


def whole_tensor_bytes(merge: Merge, numel: int, n_inputs: int) -> int:
    """Memory that ``merge`` takes for whole tensors; 0 if it works in blocks."""
    return 4 * numel * (n_inputs + _EXTRA_COPIES) if isinstance(merge, WholeTensor) else 0
