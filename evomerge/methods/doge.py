"""DOGE: task arithmetic on sparse deltas with a common correction, found by projected gradient descent on the weights.

The correction ``D`` of a matrix minimises the sum over experts and rows of ``<t_j, t_j - sum_i f_i (t_i + D)>^2``, rows
of deltas ``t`` and factors ``f_i = eta / |t_i|``. It is optimised by Adam from zero; of each gradient that part is
taken off that lies in the subspace that the experts share: the first left singular vectors of all experts' first left
singular vectors. Then ``f_i (t_i + D)`` is added up over the experts, each where its ``t_i`` is among its largest.

==============  ==========================================================
option          Wei et al. 2025 (the code in fusion_bench)
==============  ==========================================================
matrices        layers
rest            base
scope           global (all optimised matrices flattened)
kept            threshold
eta             0.07
subspace        6
steps           400
learning_rate   1e-4
==============  ==========================================================

mergekit has no such method. The defaults are the code's. It keeps a density of 0.3 and has no weights (all are 1).
``weight`` and ``lambda`` multiply the factors ``f_i`` of the result: a lambda of 2 is an eta of 0.14 there.

Once per search and matrix the correction is optimised, with the option ``eta`` and all weights 1, and kept: 4 bytes per
element, beside histograms of the deltas. Weights, densities and lambda may then be searched without optimising again;
the correction stays that of ``eta``. The matrices of a model of 135 million parameters take 10 minutes on one core,
those of a billion about 15 times as long. While a matrix is prepared, all its deltas are held in float64 and in float32
and as much as four of them for the descent: 12 bytes times experts plus 40, per element. A candidate costs a pass over
base, models and correction.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from evomerge.kernels import Finite, flat, in_window
from evomerge.methods._shared.coefficients import density, per_model, scale, shared, weight
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Coefficients, Options, Starts, TensorContext, TensorSet, TensorSources
from evomerge.methods._shared.interference.descent import LEARNING_RATE, STEPS, adam
from evomerge.methods._shared.interference.objective import has_optimum, top_right_vectors
from evomerge.methods._shared.matrices import (
    MATRICES,
    REST,
    MatrixDeltas,
    add_update,
    blocks_bytes,
    is_optimised,
    merge_rest,
)
from evomerge.methods._shared.options import KEPT, SCOPE
from evomerge.methods._shared.sparsify.global_top_k import GlobalTopK
from evomerge.methods._shared.sparsify.top_k import histograms_bytes, prepare_histograms
from evomerge.methods._shared.sparsify.trim import trim
from evomerge.options import Option
from evomerge.recipe import Coefficient

ETA = Option(0.07, None, float, "length of each delta after its factor, in the optimisation", low=0.0)
SUBSPACE = Option(
    6.0,
    None,
    float,
    "the shared subspace has as many dimensions as the matrix's smaller side divided by this",
    low=1.0,
)


def prepare(
    context: TensorContext, base: torch.Tensor, models: Sequence[torch.Tensor], options: Options
) -> Mapping[str, torch.Tensor]:
    """Histograms of a matrix's deltas, correction and factors; nothing for other tensors."""
    if not is_optimised(context, base.shape, options):
        return {}
    arrays = prepare_histograms(context, base, models, options)
    deltas = MatrixDeltas(base, models)
    squares = deltas.square_norms()
    if not has_optimum(squares):
        return arrays
    factors = [options["eta"] / math.sqrt(square) if square else 0.0 for square in squares]
    found = correction([deltas.of(model) for model in range(len(models))], factors, options)
    return {**arrays, "correction": found.cpu(), "factors": torch.tensor(factors, dtype=torch.float64)}


def prepared_bytes(shape: Sequence[int], n_models: int, options: Options) -> int:
    """4 bytes per element of a matrix, and histograms."""
    if len(shape) != 2:
        return 0
    return 4 * math.prod(shape) + 8 * n_models + histograms_bytes(shape, n_models, options)


def scratch_bytes(shape: Sequence[int], n_inputs: int, options: Options) -> int:
    """The most that a matrix takes while it is prepared: all deltas in float64 and float32, Adam and subspaces."""
    if len(shape) != 2:
        return 0
    n_models, numel, smaller = n_inputs - 1, math.prod(shape), min(shape)
    rank = smaller // n_models
    subspace = shape[0] * (2 * n_models * rank + 3 * max(rank, int(smaller / options["subspace"]))) + 4 * smaller**2
    held = 12 * n_models * numel + 8 * numel + histograms_bytes(shape, n_models, options)
    return max(held + 8 * max(4 * numel, subspace), blocks_bytes(shape, n_models))


def correction(deltas: Sequence[torch.Tensor], factors: Sequence[float], options: Options) -> torch.Tensor:
    """The correction of one matrix, ``(out, in)``, float32.

    Args:
        deltas: The deltas, float64 ``(out, in)``.
        factors: The factor of each.
        options: Of the method.
    """
    total, mixed = sum(factors), torch.zeros_like(deltas[0])
    for delta, factor in zip(deltas, factors, strict=True):
        mixed += factor * delta
    # A row's term is its value at no correction, less the product of delta and correction times the sum of factors.
    terms = [(delta * (delta - mixed)).sum(dim=1, keepdim=True).float() for delta in deltas]
    singles = [delta.float() for delta in deltas]
    shared_subspace = subspace_of(deltas, options["subspace"]).float()

    def gradient(point: torch.Tensor) -> torch.Tensor:
        slope = torch.zeros_like(point)
        for delta, term in zip(singles, terms, strict=True):
            slope.addcmul_(delta, torch.sub(term, (delta * point).sum(dim=1, keepdim=True), alpha=total))
        slope.mul_(-2 * total)
        return slope.sub_(shared_subspace @ (shared_subspace.t() @ slope))

    return adam(gradient, torch.zeros_like(singles[0]), options["steps"], options["learning_rate"])


def subspace_of(deltas: Sequence[torch.Tensor], divisor: float) -> torch.Tensor:
    """Orthonormal columns that span the subspace of outputs that experts share, ``(out, dimensions)``."""
    smaller = min(deltas[0].shape)
    rank, dimensions = smaller // len(deltas), int(smaller / divisor)
    if not rank or not dimensions:
        return deltas[0].new_zeros(len(deltas[0]), 0)
    stack = torch.cat([top_right_vectors(delta.t(), rank)[1] for delta in deltas], dim=1)
    return top_right_vectors(stack.t(), min(dimensions, stack.shape[1]))[1]


@dataclass(frozen=True)
class _Optimised:
    """The matrices that are optimised, of all tensors; every iteration is a fresh pass."""

    tensors: TensorSet
    options: Options

    def __iter__(self) -> Iterator[tuple[TensorContext, TensorSources]]:
        return ((c, own) for c, own in self.tensors if is_optimised(c, own.models[0].shape, self.options))


@dataclass(frozen=True)
class Survey:
    """Thresholds over all matrices, with ``scope: global``."""

    top_k: GlobalTopK


def survey(tensors: TensorSet, options: Options) -> Survey | None:
    """Adds up the histograms of all matrices, if one threshold is to hold for all of them."""
    return None if options["scope"] == "tensor" else Survey(GlobalTopK(_Optimised(tensors, options), options))


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the base plus lambda times the sum of the corrected deltas; models of weight zero take no part."""
    weights, factor = per_model(coefficients["weight"]), shared(coefficients["lambda"])
    if "correction" not in sources.prepared:
        return merge_rest(context, sources, factor, out, weights)
    scales = [factor * own * more for own, more in zip(weights, sources.prepared["factors"].tolist(), strict=True)]
    voters = [model for model, own in enumerate(scales) if own]
    masks = dict(zip(voters, trim(context, sources, coefficients, voters), strict=True))
    base, added = sources.flat_base, flat(sources.operand("correction"))

    def update(span: slice) -> torch.Tensor:
        total, start = torch.zeros(span.stop - span.start, device=base.device), base[span].to(torch.float32)
        for model, mask in masks.items():
            delta = sources.flat_models[model][span].to(torch.float32) - start
            moved = (delta + added[span]).mul_(scales[model])
            # Multiplied, not selected: what is not finite must reach the result, where it is seen.
            total += moved if mask is None else moved * in_window(mask, delta, span)
        return total

    add_update(sources, update, out)
    return None


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight``, ``density`` and ``lambda``."""
    own = replace(weight(simplex=False, high=3.0), off=0.0)
    return (own, replace(density(), neutral=0.3), scale(searched=False))


def starts(n_models: int, options: Options) -> Starts:
    """The method as it is published; it comes close to no single model."""
    return {"neutral": {"weight": (1.0,) * n_models, "density": (0.3,) * n_models, "lambda": 1.0}}


METHOD = MergeMethod(
    name="doge",
    summary="sum of sparse deltas with a common correction that is optimised outside the subspace they share",
    paper="Wei et al. 2025, Modeling multi-task model merging as adaptive projective gradient descent, "
    "https://arxiv.org/abs/2501.01230",
    merge=merge,
    coefficients=coefficients,
    options={
        "matrices": MATRICES,
        "rest": REST,
        "scope": SCOPE.choosing("global"),
        "kept": KEPT.choosing("threshold"),
        "eta": ETA,
        "subspace": SUBSPACE,
        "steps": STEPS.choosing(400),
        "learning_rate": LEARNING_RATE.choosing(1e-4),
    },
    prepare=prepare,
    prepared_bytes=prepared_bytes,
    scratch_bytes=scratch_bytes,
    prepares=is_optimised,
    survey=survey,
    starts=starts,
    exact_starts="none",
    copies=False,
    agrees_with="the authors' code",
    cost="a pass over base, models and a correction of their size",
)
