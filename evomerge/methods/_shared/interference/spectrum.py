"""Merged deltas in closed form: the descent on interference as a filter of the spectrum of its curvature.

Gradient descent without an end reaches the optimum ``D C^+``; stopped early, it has got there along eigenvectors of
large eigenvalues and is still near its start along the others. A filter says how far it got: 1 is the optimum, 0 the
start. With ``C = V L V^T`` and the start ``S`` the merged delta is ``S + (D V / L - S V) f(L) V^T``.

Once per matrix ``V``, ``L``, ``D V / L`` and ``S V`` are prepared, for the sum of the deltas as the start: a start that
is a multiple of that costs nothing more. A candidate is then one product of an out x k and a k x in matrix, where k is
the number of inputs, or of all rows of all deltas if these are fewer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from evomerge.kernels import Finite
from evomerge.methods._shared.coefficients import shared
from evomerge.methods._shared.inputs import Coefficients, Merge, Options, TensorContext, TensorSources
from evomerge.methods._shared.interference.memory import interference_bytes, spectrum_scratch
from evomerge.methods._shared.interference.objective import interference
from evomerge.methods._shared.matrices import MatrixDeltas, add_update, merge_rest

# Smallest eigenvalue that counts, in the authors' code: smaller ones count as this.
_LEAST = 1e-8
# Elements of an update that are computed at once: enough for products of matrices to run at full speed.
_BLOCK, _DEVICE_BLOCK = 1 << 20, 1 << 24


@dataclass(frozen=True)
class Spectrum:
    """The spectrum of one matrix's curvature.

    Attributes:
        values: Eigenvalues, ascending, float64 ``(k,)``; those of the other directions are the least that counts.
        shape: Outputs and inputs of the matrix.
    """

    values: torch.Tensor
    shape: tuple[int, int]

    def all_values(self) -> torch.Tensor:
        """The eigenvalues of all directions of the inputs, descending."""
        others = self.values.new_full((self.shape[1] - len(self.values),), _LEAST)
        return torch.cat([self.values.flip(0), others])

    def largest(self, count: int) -> torch.Tensor:
        """1 for the given number of largest eigenvalues, 0 for the others; float64 ``(k,)``."""
        kept = torch.zeros_like(self.values)
        kept[max(0, len(kept) - count) :] = 1.0
        return kept


Filter = Callable[[Spectrum, Coefficients, Options], torch.Tensor]
"""Gives for each eigenvalue how far the descent gets along its eigenvector, ``(k,)`` of 0 to 1."""


def exponential(values: torch.Tensor, log_t: float) -> torch.Tensor:
    """Filter of a gradient flow that is stopped at a time ``10 ** log_t``: ``1 - exp(-value * t)``."""
    return -torch.expm1(-values * 10.0**log_t)


def tikhonov(values: torch.Tensor, alpha: float) -> torch.Tensor:
    """Filter of ridge regression: ``value / (value + alpha)``."""
    return values / (values + alpha)


def spectrum_of(deltas: MatrixDeltas, squares: Sequence[float], options: Options) -> Mapping[str, torch.Tensor]:
    """Spectrum and eigenvectors of a matrix's curvature, optimum and start along these."""
    objective = interference(deltas, squares)
    values, vectors = objective.eigen()
    values = values.clamp(min=_LEAST)
    arrays = {
        "vectors": vectors.t(),
        "optimum": objective.pull(deltas, vectors) / values,
        "start": deltas.mapped([vectors] * len(squares)),
    }
    return {"values": values.cpu()} | {name: array.float().cpu().contiguous() for name, array in arrays.items()}


def spectrum_bytes(shape: Sequence[int], n_models: int, options: Options) -> int:
    """4 bytes for each of k * (in + 2 * out) numbers, see above for k; of matrices alone."""
    if len(shape) != 2:
        return 0
    height, width = shape
    return min(n_models * height, width) * (8 + 4 * (width + 2 * height))


def scratch_bytes(shape: Sequence[int], n_inputs: int, options: Options) -> int:
    """The most that a matrix takes while it is prepared: its objective and the eigenvectors of that, float64."""
    if len(shape) != 2:
        return 0
    n_models = n_inputs - 1
    inner = min(n_models * shape[0], shape[1])
    return max(interference_bytes(shape, n_models), spectrum_scratch(shape, n_models, inner))


def filtering(filter_of: Filter) -> Merge:
    """The ``merge`` of a method in closed form, from its filter."""

    def merge(
        context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
    ) -> Finite | None:
        """Writes the base plus lambda times the filtered delta."""
        factor = shared(coefficients["lambda"])
        if not sources.prepared:
            return merge_rest(context, sources, factor, out)
        height, width = out.shape
        kept = filter_of(Spectrum(sources.prepared["values"], (height, width)), coefficients, sources.options)
        first = int((kept != 0).cumsum(0).eq(0).sum())
        scaled = (factor * kept).to(out.device, torch.float32)
        update = _Update(sources, scaled, factor, shared(coefficients["start"]), first)
        rows = max(1, (_BLOCK if out.device.type == "cpu" else _DEVICE_BLOCK) // width)
        add_update(sources, update, out, rows * width)
        return None

    return merge


@dataclass(frozen=True)
class _Update:
    """The filtered delta of some whole rows, times lambda.

    Attributes:
        sources: The matrix's inputs.
        kept: The filter times lambda, float32.
        factor: Lambda.
        start: The start, as a multiple of the sum of the deltas.
        first: The first direction that is followed: the filter is 0 for those before.
    """

    sources: TensorSources
    kept: torch.Tensor
    factor: float
    start: float
    first: int

    def __call__(self, span: slice) -> torch.Tensor:
        vectors, width = self.sources.operand("vectors"), self.sources.models[0].shape[1]
        rows, followed = slice(span.start // width, span.stop // width), slice(self.first, None)
        moved = self.sources.operand("optimum")[rows, followed].to(vectors.device, copy=True)
        if self.start:
            moved.sub_(self.sources.operand("start")[rows, followed], alpha=self.start)
        update = (moved.mul_(self.kept[followed]) @ vectors[followed]).view(-1)
        if self.start:
            base = self.sources.flat_base[span].to(torch.float32)
            for model in self.sources.flat_models:
                update.add_(model[span].to(torch.float32) - base, alpha=self.start * self.factor)
        return update
