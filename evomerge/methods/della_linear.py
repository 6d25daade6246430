"""DELLA without election: drop elements at random, small ones more often, rescale the rest, add a weighted sum.

The step that the paper calls MAGPRUNE alone, as mergekit's ``della_linear`` has it. Options as in
:mod:`evomerge.methods.della`: the paper divides what is kept by its own probability (``rescale: own``, the default),
mergekit scales to the sum of absolute values before (``l1``) or not at all (``none``).

Prepared are ranks, as there; a candidate costs one pass over base, models and ranks.
"""

from __future__ import annotations

from evomerge.methods._shared.coefficients import delta_coefficients, delta_starts
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Options, Starts
from evomerge.methods._shared.mergekit import delta_mergekit, delta_parameters
from evomerge.methods._shared.options import NORMALISE, RESCALE_OWN
from evomerge.methods._shared.sparsify.magprune import EPSILON, magprune
from evomerge.methods._shared.sparsify.ranks import prepare_ranks, ranks_bytes
from evomerge.methods._shared.task_vector import each, merging
from evomerge.recipe import Coefficient


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight``, ``density``, ``epsilon`` and ``lambda``."""
    return delta_coefficients(options, sparse=True, further=(EPSILON,))


def starts(n_models: int, options: Options) -> Starts:
    """See :func:`delta_starts`."""
    return delta_starts(n_models, options, sparse=True, elects=False, further=(EPSILON,))


METHOD = MergeMethod(
    name="della_linear",
    summary="drop elements of deltas at random, small ones more often, rescale the rest, add a weighted sum",
    paper="Deep et al. 2024, DELLA-Merging: magnitude-based sampling, https://arxiv.org/abs/2406.11617",
    merge=merging(each(magprune)),
    coefficients=coefficients,
    options={"rescale": RESCALE_OWN, "normalise": NORMALISE.choosing("none", among=("none", "weight"))},
    stochastic=True,
    prepare=prepare_ranks,
    prepared_bytes=ranks_bytes,
    starts=starts,
    mergekit=delta_mergekit,
    mergekit_parameters=delta_parameters(normalize=False, rescale=True),
)
