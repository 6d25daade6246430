"""DARE with sign election: drop random elements of deltas, rescale the rest, elect signs, add what agrees.

Options as in :mod:`evomerge.methods.ties` and :mod:`evomerge.methods.dare_linear`. Like mergekit's ``dare_ties`` this
drops instead of trimming; the paper's experiments trim what was left of the dropping as well. Defaults: ``rescale:
inverse`` as in the DARE paper, the rest as mergekit (``normalise: none``).
"""

from __future__ import annotations

from evomerge.methods._shared.coefficients import delta_coefficients, delta_starts
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Options, Starts
from evomerge.methods._shared.mergekit import delta_mergekit, delta_parameters
from evomerge.methods._shared.options import NORMALISE, RESCALE, TIE, VOTES
from evomerge.methods._shared.sparsify.random_drop import drop
from evomerge.methods._shared.task_vector import each, merging
from evomerge.recipe import Coefficient


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight``, ``density`` and ``lambda``."""
    return delta_coefficients(options, sparse=True)


def starts(n_models: int, options: Options) -> Starts:
    """See :func:`delta_starts`."""
    return delta_starts(n_models, options, sparse=True, elects=True)


METHOD = MergeMethod(
    name="dare_ties",
    summary="drop random elements of deltas, rescale the rest, elect signs, add what agrees",
    paper="Yu et al. 2024, Language models are Super Mario, https://arxiv.org/abs/2311.03099",
    merge=merging(each(drop)),
    coefficients=coefficients,
    options={
        "rescale": RESCALE.choosing("inverse"),
        "votes": VOTES,
        "tie": TIE,
        "normalise": NORMALISE.choosing("none"),
    },
    stochastic=True,
    starts=starts,
    exact_starts="models",
    mergekit=delta_mergekit,
    mergekit_parameters=delta_parameters(normalize=False, rescale=True),
    agrees_with="mergekit 0.1.5",
)
