"""DELLA: drop elements at random, small ones more often, rescale the rest, elect signs, average what agrees.

==========  ==========================================  =======================================
option      Deep et al. 2024 and their code             mergekit's ``della``
==========  ==========================================  =======================================
rescale     own                                         l1, or none
votes       weighted                                    weighted
tie         positive                                    positive
normalise   weight                                      weight, or none
==========  ==========================================  =======================================

The defaults are the paper's. It keeps a density of 0.3 to 0.7 and tunes lambda around 1.1. Ranks are within rows, the
last dimension; a vector is one row. Its ``epsilon``, and mergekit's, is the half-width of the range of probabilities
itself, which most densities forbid. Here it is a fraction of the widest range that the density allows, so every pair
is valid.

Prepared are the ranks of elements within rows, 2 bytes for each element and model; a candidate costs one pass over
base, models and ranks.
"""

from __future__ import annotations

from evomerge.methods._shared.coefficients import delta_coefficients, delta_starts
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Options, Starts
from evomerge.methods._shared.mergekit import delta_mergekit, delta_parameters
from evomerge.methods._shared.options import NORMALISE, RESCALE_OWN, TIE, VOTES
from evomerge.methods._shared.sparsify.magprune import EPSILON, magprune
from evomerge.methods._shared.sparsify.ranks import prepare_ranks, ranks_bytes
from evomerge.methods._shared.task_vector import each, merging
from evomerge.recipe import Coefficient


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight``, ``density``, ``epsilon`` and ``lambda``."""
    return delta_coefficients(options, sparse=True, further=(EPSILON,))


def starts(n_models: int, options: Options) -> Starts:
    """See :func:`delta_starts`."""
    return delta_starts(n_models, options, sparse=True, elects=True, further=(EPSILON,))


METHOD = MergeMethod(
    name="della",
    summary="drop elements of deltas at random, small ones more often, elect signs, average what agrees",
    paper="Deep et al. 2024, DELLA-Merging: magnitude-based sampling, https://arxiv.org/abs/2406.11617",
    merge=merging(each(magprune)),
    coefficients=coefficients,
    options={"rescale": RESCALE_OWN, "votes": VOTES, "tie": TIE, "normalise": NORMALISE},
    stochastic=True,
    prepare=prepare_ranks,
    prepared_bytes=ranks_bytes,
    starts=starts,
    exact_starts="models",
    mergekit=delta_mergekit,
    mergekit_parameters=delta_parameters(normalize=True, rescale=True),
    agrees_with="the authors' code",
)
