"""Model breadcrumbs with sign election: leave out the largest and the smallest elements, elect signs, add what agrees.

The combination is mergekit's. Options as in :mod:`evomerge.methods.breadcrumbs` and :mod:`evomerge.methods.ties`;
mergekit's ``breadcrumbs_ties`` is ``scope: tensor``, ``yields: gamma`` and ``small: zero`` with the other defaults.

Prepared are, as there, ranks within rows or histograms; a candidate costs one pass over base and models.
"""

from __future__ import annotations

from evomerge.methods._shared.coefficients import delta_coefficients, delta_starts
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Options, Starts
from evomerge.methods._shared.mergekit import WINDOW, delta_parameters, window_mergekit
from evomerge.methods._shared.options import NORMALISE, RESCALE, TIE, VOTES
from evomerge.methods._shared.sparsify.window import GAMMA, WINDOW_OPTIONS, medium, prepare_window, window_bytes
from evomerge.methods._shared.task_vector import merging
from evomerge.recipe import Coefficient


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight``, ``density``, ``gamma`` and ``lambda``."""
    return delta_coefficients(options, sparse=True, further=(GAMMA,))


def starts(n_models: int, options: Options) -> Starts:
    """See :func:`delta_starts`."""
    return delta_starts(n_models, options, sparse=True, elects=True, further=(GAMMA,))


METHOD = MergeMethod(
    name="breadcrumbs_ties",
    summary="leave out the largest and the smallest elements of deltas, elect signs, add what agrees",
    paper="Davari and Belilovsky 2023, Model breadcrumbs, https://arxiv.org/abs/2312.06795",
    merge=merging(medium),
    coefficients=coefficients,
    options={
        **WINDOW_OPTIONS,
        "rescale": RESCALE,
        "votes": VOTES,
        "tie": TIE,
        "normalise": NORMALISE.choosing("none"),
    },
    prepare=prepare_window,
    prepared_bytes=window_bytes,
    starts=starts,
    exact_starts="models",
    mergekit=window_mergekit,
    mergekit_parameters=delta_parameters(normalize=False, rescale=False, always=WINDOW),
    agrees_with="mergekit 0.1.5",
)
