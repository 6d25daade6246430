"""DARE with sign election: drop random elements of deltas, rescale the rest, elect signs, add what agrees.

==========  ===============================================  =======================================
option      Yu et al. 2024 and their code (MergeLM)          mergekit's ``dare_ties``
==========  ===============================================  =======================================
rescale     inverse, or none                                 l1, or none
trim        global                                           none
kept        threshold                                        (nothing is trimmed)
rounding    up                                               (nothing is trimmed)
votes       plain                                            weighted
tie         majority                                         positive
normalise   count                                            weight, or none
==========  ===============================================  =======================================

The paper drops a fraction of 0.1 to 0.9 and then does what TIES does: of the whole model it trims all but a fraction of
0.2, which is the coefficient ``trim_density``. The defaults are ``rescale: inverse`` as in the paper, which keeps the
expectation of every element, and the rest as in mergekit, which drops instead of trimming (``normalise: none``). Masks
are this project's own: they never equal mergekit's, only their statistics do. Elements are trimmed by their magnitudes
before they are rescaled.

Nothing is prepared. With ``trim: tensor`` a candidate costs another pass over each delta, with ``trim: global`` two
passes over the whole model for every density that it has: that is for few groups. On a GPU trimming runs as torch.
"""

from __future__ import annotations

from dataclasses import replace

from evomerge.methods._shared.coefficients import delta_coefficients, delta_starts
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Options, Starts
from evomerge.methods._shared.mergekit import delta_mergekit, delta_parameters
from evomerge.methods._shared.options import KEPT, NORMALISE, RESCALE, ROUNDING, TIE, VOTES
from evomerge.methods._shared.sparsify.trimmed_drop import TRIM, TRIM_DENSITY, drop_and_trim, survey
from evomerge.methods._shared.task_vector import merging
from evomerge.recipe import Coefficient


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight``, ``density``, with trimming ``trim_density``, and ``lambda``."""
    return delta_coefficients(options, sparse=True, further=_further(options))


def starts(n_models: int, options: Options) -> Starts:
    """See :func:`delta_starts`."""
    return delta_starts(n_models, options, sparse=True, elects=True, further=_further(options))


def _further(options: Options) -> tuple[Coefficient, ...]:
    return () if options["trim"] == "none" else (TRIM_DENSITY,)


METHOD = MergeMethod(
    name="dare_ties",
    summary="drop random elements of deltas, rescale the rest, elect signs, add what agrees",
    paper="Yu et al. 2024, Language models are Super Mario, https://arxiv.org/abs/2311.03099",
    merge=merging(drop_and_trim),
    coefficients=coefficients,
    options={
        "rescale": RESCALE.choosing("inverse"),
        "trim": TRIM,
        "kept": replace(KEPT, later=True),
        "rounding": ROUNDING,
        "votes": VOTES,
        "tie": TIE,
        "normalise": NORMALISE.choosing("none"),
    },
    stochastic=True,
    survey=survey,
    starts=starts,
    exact_starts="models",
    mergekit=delta_mergekit,
    mergekit_parameters=delta_parameters(normalize=False, rescale=True),
    agrees_with="the authors' code, mergekit 0.1.5",
)
