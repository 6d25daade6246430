"""ASWUDI: SWUDI whose number of directions follows from each matrix's own spectrum.

The strongest directions go all the way to the optimum, the others keep the start. How many these are, of the
eigenvalues L of the curvature in descending order:

==================  ======================================================================
rank                number of directions
==================  ======================================================================
participation_sqrt  ``(sum of sqrt(L))^2 / sum of L`` (the authors' default)
participation       ``(sum of L)^2 / sum of L^2``
stable_rank         ``sum of L^2 / max L^2``
entropy             the exponential of the entropy of ``L / sum of L``
gavish_donoho       those whose ``sqrt(L)`` exceeds the optimal hard threshold of Gavish & Donoho 2014, a multiple of
                    their median by the matrix's shape (the authors' choice for language models)
cumulative          as few as hold the fraction ``share`` of ``sum of L``
all                 all of them: the optimum
==================  ======================================================================

The coefficient ``rank_scale`` multiplies that number; the authors' is 1. With ``filter: exponential`` directions are
stopped at a time as SWUDI's are (``log_t``; 6 in their code, which advises against it). ``start`` and ``lambda`` are
those of SWUDI, as are the options ``matrices`` and ``rest``, and what is prepared, in how much memory, and what a
candidate costs. mergekit has no such method.
"""

from __future__ import annotations

import math

import torch

from evomerge.methods._shared.coefficients import shared
from evomerge.methods._shared.inputs import Coefficients, Options
from evomerge.methods._shared.interference.closed_form import closed_form, log_t
from evomerge.methods._shared.interference.spectrum import Spectrum, exponential
from evomerge.options import Option
from evomerge.recipe import Coefficient

RANK = Option(
    "participation_sqrt",
    ("participation_sqrt", "participation", "stable_rank", "entropy", "gavish_donoho", "cumulative", "all"),
    str,
    "rule by which the number of directions follows from the spectrum",
)
SHARE = Option(0.95, None, float, "what the directions of the rule cumulative hold of the sum", low=0.0, high=1.0)
FILTER = Option(
    "none", ("none", "exponential"), str, "whether directions go all the way to the optimum, or are stopped at a time"
)
RANK_SCALE = Coefficient(
    "rank_scale",
    0.5,
    1.5,
    1.0,
    per_model=False,
    minimum=0.0,
    doc="factor of the number of directions that follows from the spectrum",
)


def filter_of(spectrum: Spectrum, coefficients: Coefficients, options: Options) -> torch.Tensor:
    """The largest eigenvalues, at least one; of their filter, if there is one."""
    count = rank_of(spectrum.all_values(), spectrum.shape, options["rank"], options["share"])
    kept = spectrum.largest(max(1, round(count * shared(coefficients["rank_scale"]))))
    if options["filter"] == "exponential":
        return kept * exponential(spectrum.values, shared(coefficients["log_t"]))
    return kept


def rank_of(values: torch.Tensor, shape: tuple[int, int], rule: str, share: float) -> int:
    """The number of directions that a rule keeps.

    Args:
        values: Eigenvalues of all directions, positive and descending.
        shape: Outputs and inputs of the matrix.
        rule: The rule.
        share: Of the rule ``cumulative``.
    """
    total, squares = float(values.sum()), float(values.square().sum())
    if rule == "participation_sqrt":
        return math.ceil(float(values.sqrt().sum()) ** 2 / total)
    if rule == "participation":
        return math.ceil(total**2 / squares)
    if rule == "stable_rank":
        return math.ceil(squares / float(values[0]) ** 2)
    if rule == "entropy":
        shares = values / total
        return math.ceil(math.exp(-float((shares * shares.log()).sum())))
    if rule == "gavish_donoho":
        roots = values.sqrt()
        return int((roots > hard_threshold(min(shape) / max(shape)) * roots.median()).sum())
    if rule == "cumulative":
        return min(int((values.cumsum(0) / total < share).sum()) + 1, len(values))
    return len(values)


def hard_threshold(beta: float) -> float:
    """Threshold of singular values as a multiple of their median, as the authors have it.

    Args:
        beta: Smaller by larger side of the matrix.
    """
    known_noise = math.sqrt(2 * (beta + 1) + 8 * beta / (beta + 1 + math.sqrt(beta**2 + 14 * beta + 1)))
    # The median of the noise's spectrum is taken to be this, in place of the median of Marchenko and Pastur's law.
    median = math.sqrt((1 - beta) ** 2 + beta) if beta < 0.9999 else math.sqrt(2 + math.sqrt(3))
    return known_noise / median


def of_filter(options: Options) -> tuple[Coefficient, ...]:
    """``rank_scale``, and ``log_t`` where directions are stopped."""
    return (RANK_SCALE, *((log_t(6.0, high=8.0),) if options["filter"] == "exponential" else ()))


METHOD = closed_form(
    name="aswudi",
    summary="WUDI in closed form along as many directions as each matrix's spectrum asks for",
    filter_of=filter_of,
    of_filter=of_filter,
    options={"rank": RANK, "share": SHARE, "filter": FILTER},
)
