"""SCE: select elements of high variance, calculate weights from their squares, erase what opposes the elected sign.

=============  =======================================  =======================================
option         Wan et al. 2024 and their code           mergekit's ``sce``
=============  =======================================  =======================================
select         weights                                  deltas
uniform_below  0                                        1e-6
votes          plain                                    plain
tie            drop                                     positive
=============  =======================================  =======================================

The defaults are the paper's but for ``tie``. It selects a fraction of 0.1 of the elements whose deltas differ between
models; only the weights depend on what is selected, and all of the deltas is mixed. mergekit sets to zero what is not
selected. Below a sum of mean squares of 1e-6, which the deltas of most experts do not reach, it gives all models the
same weight. The coefficient ``weight`` multiplies the calculated weights; the paper's is 1 for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from evomerge.kernels import (
    MOST_PLACES,
    Cut,
    Histogram,
    Mixture,
    Part,
    Selection,
    Spread,
    Stretch,
    Window,
    elements_of,
    flat,
    histogram_bytes,
    largest_of,
    square_sums,
    square_sums_upto,
    stretches,
    taken_from,
)
from evomerge.kernels import stretch_of as counted_exactly
from evomerge.methods._declaration import Coefficients, MergeMethod, Option, Options, Sources, Starts, TensorContext
from evomerge.methods._deltas import mix_into
from evomerge.methods._trim import Largest, cuts_of_tensor, magnitudes_of
from evomerge.methods._vocabulary import TIE, TIES, VOTES, delta_starts, per_model, scale, shared, weight
from evomerge.recipe import Coefficient

SELECT = Option(
    "weights", ("weights", "deltas"), str, "what the selected elements decide: the weights only, or what is mixed, too"
)
UNIFORM_BELOW = Option(
    0.0, None, float, "all models weigh the same where the sum of their mean squared deltas is not above this"
)
# Elements of one stretch of variances that are looked at one by one; of more the whole tensor is looked at.
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
    """Counts the variances of deltas, and adds up the squares of every delta from the highest variance down."""
    spread = Spread(flat(base), [flat(model) for model in models])
    histogram = Histogram.of(spread)
    exact = histogram.shift == 0 or histogram.equal(0) == 0
    zeros = histogram if exact else counted_exactly(spread, 0, histogram.shift)
    different = torch.tensor(histogram.count - zeros.equal(0), dtype=torch.int64)
    squares = square_sums_upto(spread, histogram.digits, histogram.shift)
    return {**histogram.arrays("spread"), "different": different, "squares": squares}


def prepared_bytes(shape: Sequence[int], n_models: int, options: Options) -> int:
    """12 bytes per stretch, and 8 per stretch and model, see :func:`evomerge.kernels.stretches`."""
    numel = torch.Size(shape).numel()
    return histogram_bytes(numel) + 8 + 8 * n_models * (min(numel, stretches(numel)) + 1)


def merge(context: TensorContext, sources: Sources, coefficients: Coefficients, out: torch.Tensor) -> bool | None:
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
        tie=TIES[options["tie"]],
        divide=True,
        select=chosen.of(spread_of(sources)) if options["select"] == "deltas" else None,
    )
    return mix_into(out, mixed, sources, coefficients)


def spread_of(sources: Sources) -> Spread:
    """The variances of one tensor's deltas."""
    return Spread(sources.flat_base, sources.flat_models)


@dataclass(frozen=True)
class Chosen:
    """The elements of highest variance.

    Attributes:
        squares: The sum of the squares of each delta's elements among them.
        cut: Down to where; None is all elements.
    """

    squares: Sequence[float]
    cut: Cut | None = None

    def of(self, spread: Spread) -> Selection | None:
        """The same as a selection of elements."""
        return None if self.cut is None else Selection(spread, Window(self.cut))


def selection(sources: Sources, fraction: float) -> Chosen:
    """The elements of highest variance, at least one if any differ."""
    different, squares = int(sources.prepared["different"]), sources.prepared["squares"]
    if fraction >= 1 or different == 0:
        return Chosen(squares[-1].tolist())
    spread, histogram = spread_of(sources), sources.once(magnitudes_of, "spread")
    wanted = max(1, int(fraction * different))
    stretch, left = Stretch.holding(spread, histogram, wanted)
    above = int(histogram.upto.numpy().searchsorted(wanted))
    if left == stretch.count:
        return Chosen(squares[above + 1].tolist(), Cut(stretch.digit << histogram.shift, spread.base.numel()))
    if stretch.count > _AT_ONCE or spread.base.numel() > MOST_PLACES:
        (cut,) = cuts_of_tensor([Largest(spread, histogram, wanted)], "exact")
        return Chosen(square_sums(spread, Selection(spread, Window(cut))), cut)
    bits, indices = elements_of(stretch)
    chosen, last = largest_of(bits, left)
    pairs = zip(squares[above].tolist(), square_sums(taken(spread, indices[chosen])), strict=True)
    return Chosen([more + own for more, own in pairs], Cut(int(bits[last]), int(indices[last]) + 1))


def taken(spread: Spread, places: np.ndarray) -> Spread:
    """The same at some places only."""
    return Spread(taken_from(spread.base, places), [taken_from(model, places) for model in spread.models])


def calculated(sources: Sources, squares: Sequence[float]) -> list[float]:
    """The share of each model in the mean squares of the selected elements."""
    numel, count = sources.models[0].numel(), len(sources.models)
    means = [total / numel for total in squares]
    total = sum(means)
    return [1 / count] * count if total <= sources.options["uniform_below"] else [own / total for own in means]


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight``, ``select_topk`` and ``lambda``."""
    return (weight(simplex=True), TOPK, scale(searched=True))


def starts(n_models: int, options: Options) -> Starts:
    """See :func:`evomerge.methods._vocabulary.delta_starts`; models alone are exact, the others near."""
    return delta_starts(n_models, {"normalise": "weight"}, sparse=False, elects=True, further=(TOPK,))


def mergekit(options: Options) -> Mapping[str, Any] | None:
    """None: mergekit has neither weights nor lambda here."""
    return None


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
    mergekit=mergekit,
)
