"""SCE: select elements of high variance, calculate weights from their squares, erase what opposes the elected sign.

=============  =======================================  =======================================
option         Wan et al. 2024 and their code           mergekit's ``sce``
=============  =======================================  =======================================
select         weights                                  deltas
uniform_below  0                                        1e-6
votes          plain                                    plain
tie            positive                                 positive
=============  =======================================  =======================================

The defaults are the paper's. It selects a fraction of 0.1 of the elements whose deltas differ between
models; only the weights depend on what is selected, and all of the deltas is mixed. mergekit sets to zero what is not
selected. Below a sum of mean squares of 1e-6, which the deltas of most experts do not reach, it gives all models the
same weight. Where the fraction means less than one element none is selected, and all models weigh the same. The
coefficient ``weight`` multiplies the calculated weights; the paper's is 1 for all.

Prepared are a histogram of the deltas' variances and cumulative squares along it, 12 bytes for each bin and 8 for each
bin and model; a candidate costs one pass over base and models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from evomerge.kernels import (
    MAX_INDEXED,
    NOTHING,
    Finite,
    Mixture,
    Part,
    Selection,
    Threshold,
    Variance,
    Window,
    bin_histogram,
    bin_holding,
    cumulative_square_sums,
    elements_of,
    flat,
    histogram_bytes,
    histogram_of,
    max_bins,
    square_sums,
    take,
    top_k,
)
from evomerge.methods._shared.coefficients import delta_starts, per_model, scale, shared, weight
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Coefficients, Options, Starts, TensorContext, TensorSources
from evomerge.methods._shared.mergekit import MergekitParameters
from evomerge.methods._shared.options import TIE, TIE_SIGNS, VOTES
from evomerge.methods._shared.sparsify.top_k import TopK, prepared_histogram, thresholds_of_tensor
from evomerge.methods._shared.task_vector import mix_into
from evomerge.options import Option
from evomerge.recipe import Coefficient

SELECT = Option(
    "weights", ("weights", "deltas"), str, "what the selected elements decide: the weights only, or what is mixed, too"
)
UNIFORM_BELOW = Option(
    0.0, None, float, "all models weigh the same where the sum of their mean squared deltas is not above this", low=0.0
)
_MERGEKIT: Options = {"select": "deltas", "uniform_below": 1e-6, "votes": "plain", "tie": "positive"}
# Elements of one bin of variances that are looked at one by one; of more the whole tensor is looked at.
_AT_ONCE = 1 << 20
TOPK = Coefficient(
    "select_topk",
    0.02,
    1.0,
    1.0,
    per_model=False,
    minimum=0.0,
    maximum=1.0,
    doc="fraction of the elements whose deltas differ between models that is selected, those of highest variance",
)


def prepare(
    context: TensorContext, base: torch.Tensor, models: Sequence[torch.Tensor], options: Options
) -> Mapping[str, torch.Tensor]:
    """Histogram of the deltas' variances, and cumulative squares of every delta from the highest variance down."""
    variance = Variance(flat(base), [flat(model) for model in models])
    histogram = histogram_of(variance)
    exact = histogram.shift == 0 or histogram.equal(0) == 0
    zeros = histogram if exact else bin_histogram(variance, 0, histogram.shift)
    different = torch.tensor(histogram.count - zeros.equal(0), dtype=torch.int64)
    squares = cumulative_square_sums(variance, histogram.bin_keys, histogram.shift)
    return {**histogram.arrays("variance"), "different": different, "squares": squares}


def prepared_bytes(shape: Sequence[int], n_models: int, options: Options) -> int:
    """12 bytes per bin, and 8 per bin and model, see :func:`evomerge.kernels.max_bins`."""
    numel = torch.Size(shape).numel()
    return histogram_bytes(numel) + 8 + 8 * n_models * (min(numel, max_bins(numel)) + 1)


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the base plus lambda times the mixed deltas."""
    if out.numel() == 0:
        return True
    options, chosen = sources.options, selection(sources, shared(coefficients["select_topk"]))
    given = per_model(coefficients["weight"])
    weights = [own * value for own, value in zip(calculated(sources, chosen.squares), given, strict=True)]
    parts = [
        Part(model, value, value if options["votes"] == "weighted" else 1.0, value)
        for model, value, own in zip(sources.flat_models, weights, given, strict=True)
        if value != 0 and own != 0
    ]
    mixed = Mixture(
        sources.flat_base,
        parts,
        scale=shared(coefficients["lambda"]),
        elect=True,
        tie=TIE_SIGNS[options["tie"]],
        divide=True,
        select=chosen.of(variance_of(sources)) if options["select"] == "deltas" else None,
    )
    return mix_into(out, mixed, sources, coefficients)


def variance_of(sources: TensorSources) -> Variance:
    """The variances of one tensor's deltas."""
    return Variance(sources.flat_base, sources.flat_models)


@dataclass(frozen=True)
class Chosen:
    """The elements of highest variance.

    Attributes:
        squares: The sum of the squares of each delta's elements among them.
        threshold: Their top-k threshold; None is all elements.
    """

    squares: Sequence[float]
    threshold: Threshold | None = None

    def of(self, variance: Variance) -> Selection | None:
        """The same as a selection of elements."""
        return None if self.threshold is None else Selection(variance, Window(self.threshold))


def selection(sources: TensorSources, fraction: float) -> Chosen:
    """The elements of highest variance; none where the fraction means less than one."""
    different, squares = int(sources.prepared["different"]), sources.prepared["squares"]
    if fraction >= 1 or different == 0:
        return Chosen(squares[-1].tolist())
    variance, histogram = variance_of(sources), sources.memoised(prepared_histogram, "variance")
    wanted = int(fraction * different)
    if wanted == 0:
        return Chosen([0.0] * len(sources.models), NOTHING)
    held, rank = bin_holding(variance, histogram, wanted)
    above = int(histogram.cumulative.numpy().searchsorted(wanted))
    if rank == held.count:
        return Chosen(squares[above + 1].tolist(), Threshold(held.bin_key << histogram.shift, variance.base.numel()))
    if held.count > _AT_ONCE or variance.base.numel() > MAX_INDEXED:
        (threshold,) = thresholds_of_tensor([TopK(variance, histogram, wanted)], "exact")
        return Chosen(square_sums(variance, Selection(variance, Window(threshold))), threshold)
    bits, indices = elements_of(held)
    chosen, last = top_k(bits, rank)
    pairs = zip(squares[above].tolist(), square_sums(taken(variance, indices[chosen])), strict=True)
    return Chosen([more + own for more, own in pairs], Threshold(int(bits[last]), int(indices[last]) + 1))


def taken(variance: Variance, indices: np.ndarray) -> Variance:
    """The same at some indices only."""
    return Variance(take(variance.base, indices), [take(model, indices) for model in variance.models])


def calculated(sources: TensorSources, squares: Sequence[float]) -> list[float]:
    """Share of each model in the mean squares of the selected elements."""
    numel, count = sources.models[0].numel(), len(sources.models)
    means = [total / numel for total in squares]
    total = sum(means)
    return [1 / count] * count if total <= sources.options["uniform_below"] else [own / total for own in means]


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight``, ``select_topk`` and ``lambda``."""
    return (weight(simplex=True), TOPK, scale(searched=True))


def starts(n_models: int, options: Options) -> Starts:
    """See :func:`delta_starts`."""
    return delta_starts(n_models, {"normalise": "weight"}, sparse=False, elects=True, further=(TOPK,))


def mergekit(options: Options) -> Mapping[str, Any] | None:
    """Mergekit's ``sce``, or None where it computes something else."""
    return {} if all(options[name] == value for name, value in _MERGEKIT.items()) else None


METHOD = MergeMethod(
    name="sce",
    summary="weights from the squares of high-variance elements, elected signs, average of what agrees",
    paper="Wan et al. 2024, FuseChat: knowledge fusion of chat models, https://arxiv.org/abs/2408.07990",
    merge=merge,
    coefficients=coefficients,
    options={
        "select": SELECT,
        "uniform_below": UNIFORM_BELOW,
        "votes": VOTES.choosing("plain"),
        "tie": TIE,
    },
    prepare=prepare,
    prepared_bytes=prepared_bytes,
    starts=starts,
    exact_starts="models",
    mergekit=mergekit,
    mergekit_parameters=MergekitParameters(read=lambda parameters: _MERGEKIT, lacks=("weight", "lambda")),
    agrees_with="the authors' code, mergekit 0.1.5",
)
