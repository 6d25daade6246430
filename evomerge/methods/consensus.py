"""Consensus task arithmetic: add up the deltas where enough experts' masks agree that the element matters.

A mask of Wang et al. 2024 (TALL mask) has the elements at which a delta is larger than its distance to the sum of all
deltas times ``mask_lambda``: ``|delta| > mask_lambda * |sum - delta|``. What fewer than ``k`` masks have is left out.

======  ==============================================================================================================
option  what it decides
======  ==============================================================================================================
k       how many masks must have an element: 2 in the paper; 1 leaves out what no expert wants, 0 nothing
task    not set: one model for all. A number: the model for that expert's task, counted from 0, which is the base plus
        the sum of all deltas in that expert's mask, as the paper compresses models
======  ==============================================================================================================

The paper chooses ``mask_lambda`` from 0.2 to 0.6 for each expert on validation data, and adds 0.3 or so of the deltas.
Masks come from plain deltas and their unscaled sum, as in the authors' code; ``weight`` is what is added of each delta,
so an expert of weight 0 still has its say on what matters. Where there are fewer than ``k`` models, all must agree
(ours). Nothing is prepared: a candidate reads every tensor once.
"""

from __future__ import annotations

import torch

from evomerge.kernels import Finite
from evomerge.methods._shared.coefficients import delta_starts, per_model, scale, shared, weight
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.elementwise import Update, add_update, summed, weighted
from evomerge.methods._shared.inputs import Coefficients, Options, Starts, TensorContext, TensorSources
from evomerge.methods._shared.tasks import TASK, task_of, task_problems
from evomerge.options import Option
from evomerge.recipe import Coefficient

K = Option(2, None, int, "number of experts whose masks must have an element for it to be merged", low=0)
MASK_LAMBDA = Coefficient(
    "mask_lambda",
    0.0,
    1.0,
    0.0,
    minimum=0.0,
    doc="distance to the sum of all deltas, in magnitudes of the expert's own, beyond which its mask drops an element",
)


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the base plus lambda times the weighted deltas that enough masks have, or the model for one task."""
    options, count = sources.options, len(sources.models)
    task = None if options["task"] is None else task_of(context, sources, options["task"])
    update = _agreed(coefficients, min(options["k"], count)) if task is None else _own(coefficients, task)
    models = range(count) if task is not None or any(per_model(coefficients["weight"])) else ()
    add_update(sources, models, update, out, scale=shared(coefficients["lambda"]))
    return None


def _agreed(coefficients: Coefficients, least: int) -> Update:
    """The weighted sum of deltas in at least so many masks."""
    weights, limits = per_model(coefficients["weight"]), per_model(coefficients["mask_lambda"])

    def update(deltas: list[torch.Tensor]) -> torch.Tensor:
        whole = summed(deltas)
        votes = summed([mask(delta, whole, limit) for delta, limit in zip(deltas, limits, strict=True)])
        # Multiplied, not selected: what is not finite must reach the result.
        return votes.ge_(least).mul_(summed(weighted(deltas, range(len(deltas)), weights)))

    return update


def _own(coefficients: Coefficients, task: int) -> Update:
    """The sum of all deltas in one mask."""
    limit = shared(coefficients["mask_lambda"])

    def update(deltas: list[torch.Tensor]) -> torch.Tensor:
        whole = summed(deltas)
        return mask(deltas[task], whole, limit).mul_(whole)

    return update


def mask(delta: torch.Tensor, whole: torch.Tensor, limit: float) -> torch.Tensor:
    """The elements that matter to one expert: 1, and 0 elsewhere.

    Args:
        delta: Its delta.
        whole: The sum of all deltas.
        limit: The expert's ``mask_lambda``.
    """
    return delta.abs().gt_((whole - delta).abs_().mul_(limit))


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight``, ``mask_lambda`` and ``lambda``; with ``task`` the last two, of one expert."""
    if options["task"] is not None:
        return (_of_one_expert(), scale(searched=True))
    return (weight(simplex=False), MASK_LAMBDA, scale(searched=False))


def _of_one_expert() -> Coefficient:
    return Coefficient("mask_lambda", 0.0, 1.0, 0.4, per_model=False, minimum=0.0, doc=MASK_LAMBDA.doc)


def starts(n_models: int, options: Options) -> Starts:
    """See :func:`delta_starts`: with masks of all elements that differ from the base's. With ``task`` one mask."""
    if options["task"] is not None:
        return {"neutral": {"mask_lambda": 0.4, "lambda": 1.0}}
    return delta_starts(n_models, {"normalise": "none"}, sparse=False, elects=False, further=(MASK_LAMBDA,))


METHOD = MergeMethod(
    name="consensus",
    summary="weighted sum of deltas where enough experts' masks agree that the element matters",
    paper="Wang et al. 2024, Localizing task information for improved model merging and compression, "
    "https://arxiv.org/abs/2405.07813",
    merge=merge,
    coefficients=coefficients,
    options={"k": K, "task": TASK},
    count_problems=task_problems,
    starts=starts,
    exact_starts="none",  # what fewer than k experts changed is left out
    agrees_with="the authors' code",
)
