"""Model breadcrumbs with sign election: leave out the largest and the smallest elements, elect signs, add what agrees.

The combination is mergekit's. Options as in :mod:`evomerge.methods.breadcrumbs` and :mod:`evomerge.methods.ties`;
mergekit's ``breadcrumbs_ties`` is ``scope: tensor``, ``yields: gamma`` and ``small: zero`` with the other defaults.
"""

from __future__ import annotations

from evomerge.methods._declaration import MergeMethod, Options, Starts
from evomerge.methods._deltas import merging
from evomerge.methods._vocabulary import NORMALISE, RESCALE, TIE, VOTES, delta_coefficients, delta_starts
from evomerge.methods._window import GAMMA, WINDOW_OPTIONS, medium, prepare_window, window_bytes, window_mergekit
from evomerge.recipe import Coefficient


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight``, ``density``, ``gamma`` and ``lambda``."""
    return delta_coefficients(options, sparse=True, further=(GAMMA,))


def starts(n_models: int, options: Options) -> Starts:
    """See :func:`evomerge.methods._vocabulary.delta_starts`; models alone are exact, the others near."""
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
    mergekit=window_mergekit,
)
