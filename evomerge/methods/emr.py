"""EMR-Merging: elect a sign per element, and take the largest magnitude that agrees.

The sign is that of the sum of the deltas, minus where that is zero; the elected delta has at each element the largest
magnitude among the deltas of that sign. Huang et al. 2024 keep a mask and a scale for each task beside it, and build a
model for the task at hand; as one model for all tasks it is a merge of its own.

======  ==============================================================================================================
option  what is written
======  ==============================================================================================================
task    not set: the base plus the elected delta. A number: the model for that expert's task, counted from 0, as in
        the paper: the elected delta where it has the sign of the expert's, times a scale that is the same for all
        tensors, the sum over tensors of the mean magnitude of the expert's delta over that of the masked elected one
======  ==============================================================================================================

The paper has no weights: ``weight`` multiplies each delta before the election. With ``task`` there is ``lambda`` alone.
Nothing is prepared. A candidate reads every tensor once; with ``task``, so does a search once, for the scale.
"""

from __future__ import annotations

import torch

from evomerge.kernels import Delta, Finite, absolute_sum, spans
from evomerge.methods._shared.coefficients import delta_starts, per_model, scale, shared, weight
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.elementwise import Update, add_update, deltas_of, summed, taking_part, weighted
from evomerge.methods._shared.inputs import Coefficients, Options, Starts, TensorContext, TensorSet, TensorSources
from evomerge.methods._shared.tasks import TASK, task_of, task_problems
from evomerge.methods._shared.vectors import folded
from evomerge.recipe import Coefficient


def survey(tensors: TensorSet, options: Options) -> float | None:
    """The scale of the model for one task, see :func:`rescaler`."""
    return None if options["task"] is None else rescaler(tensors, options["task"])


def rescaler(tensors: TensorSet, task: int) -> float:
    """Mean magnitudes of an expert's delta over those of the masked elected delta, each summed over tensors.

    Args:
        tensors: All tensors of a merge; every one counts the same, whatever its size. Empty ones do not count.
        task: The expert.

    Returns:
        The scale; 1 where the expert agrees with nothing that is elected.
    """
    own = elected_size = 0.0
    for context, sources in tensors:
        number = task_of(context, sources, task)
        if not sources.flat_base.numel():
            continue
        count = sources.flat_base.numel()
        own += absolute_sum(Delta(sources.flat_base, sources.flat_models[number])) / count
        elected_size += sum(_block_sums(sources, number)) / count
    return own / elected_size if elected_size else 1.0


def _block_sums(sources: TensorSources, task: int) -> list[float]:
    """Sums of the magnitudes of the masked elected delta, block by block."""
    pieces = spans(sources.flat_base.numel(), device=sources.flat_base.device)
    masked = (agreeing(task)(deltas_of(sources, span)) for span in pieces)
    return [float(folded([block.abs().to(torch.float64)], dim=0)) for block in masked]


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the base plus lambda times the elected delta, or the model for one task."""
    task, factor = sources.options["task"], shared(coefficients["lambda"])
    if task is not None:
        masked = agreeing(task_of(context, sources, task))
        add_update(sources, range(len(sources.models)), masked, out, scale=factor * sources.survey)
        return None
    models, weights = taking_part(coefficients), per_model(coefficients["weight"])
    add_update(sources, models, lambda deltas: elected(weighted(deltas, models, weights)), out, scale=factor)
    return None


def elected(deltas: list[torch.Tensor]) -> torch.Tensor:
    """The elected delta: the largest where the sum is positive, else the smallest, but none beyond zero.

    What is not finite in any delta is not finite in it.
    """
    most, least = (deltas[0].clamp(**{bound: 0.0}) for bound in ("min", "max"))
    for delta in deltas[1:]:
        torch.maximum(most, delta, out=most)
        torch.minimum(least, delta, out=least)
    return torch.lerp(least, most, summed(deltas).gt_(0.0))


def agreeing(task: int) -> Update:
    """A function that gives the elected delta where one delta has its sign, and zero elsewhere."""

    def masked(deltas: list[torch.Tensor]) -> torch.Tensor:
        unified = elected(deltas)
        # Multiplied, not selected: what is not finite must reach the result.
        return unified.mul_(unified.sign().mul_(deltas[task].sign_()).gt_(0.0))

    return masked


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight`` and ``lambda``; with ``task`` only the latter."""
    if options["task"] is not None:
        return (scale(searched=True),)
    return (weight(simplex=False), scale(searched=False))


def starts(n_models: int, options: Options) -> Starts:
    """See :func:`delta_starts`; with ``task`` the published model."""
    if options["task"] is not None:
        return {"neutral": {"lambda": 1.0}}
    return delta_starts(n_models, {"normalise": "count"}, sparse=False, elects=True)


METHOD = MergeMethod(
    name="emr",
    summary="elect a sign per element, take the largest magnitude that agrees",
    paper="Huang et al. 2024, EMR-Merging: tuning-free high-performance model merging, "
    "https://arxiv.org/abs/2405.17461",
    merge=merge,
    coefficients=coefficients,
    options={"task": TASK},
    survey=survey,
    count_problems=task_problems,
    starts=starts,
    exact_starts="models",
    agrees_with="the authors' code",
)
