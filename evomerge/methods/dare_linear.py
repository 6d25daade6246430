"""DARE with a linear merge: drop random elements of deltas, rescale the rest, add a weighted sum.

The paper divides what is left by the density (``rescale: inverse``, the default), which keeps the expectation of every
element. mergekit scales to the sum of absolute values before (``l1``) or not at all (``none``), and can normalise by
weights. Masks are this project's own: they never equal mergekit's, only their statistics do.

Nothing is prepared: masks are drawn anew, element by element, and a candidate costs one pass over base and models.
"""

from __future__ import annotations

from evomerge.methods._shared.coefficients import delta_coefficients, delta_starts
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Options, Starts
from evomerge.methods._shared.mergekit import delta_mergekit, delta_parameters
from evomerge.methods._shared.options import NORMALISE, RESCALE
from evomerge.methods._shared.sparsify.random_drop import drop
from evomerge.methods._shared.task_vector import each, merging
from evomerge.recipe import Coefficient


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight``, ``density`` and ``lambda``."""
    return delta_coefficients(options, sparse=True)


def starts(n_models: int, options: Options) -> Starts:
    """See :func:`delta_starts`."""
    return delta_starts(n_models, options, sparse=True, elects=False)


METHOD = MergeMethod(
    name="dare_linear",
    summary="drop random elements of deltas, rescale the rest, add a weighted sum",
    paper="Yu et al. 2024, Language models are Super Mario, https://arxiv.org/abs/2311.03099",
    merge=merging(each(drop)),
    coefficients=coefficients,
    options={
        "rescale": RESCALE.choosing("inverse"),
        "normalise": NORMALISE.choosing("none", among=("none", "weight")),
    },
    stochastic=True,
    starts=starts,
    mergekit=delta_mergekit,
    mergekit_parameters=delta_parameters(normalize=False, rescale=True),
    agrees_with="the authors' code, mergekit 0.1.5",
)
