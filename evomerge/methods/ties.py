"""TIES: trim small elements of deltas, elect a sign per element, average what agrees.

==========  ============================  ====================================  ==================  ==========
option      Yadav et al. 2023, its code   mergekit's ``ties``                   MergeLM, MergeLLM   STAR's
==========  ============================  ====================================  ==================  ==========
scope       global                        tensor                                global, tensor      global
kept        threshold                     exact (theirs breaks ties at random)  threshold           equals
rounding    down                          down                                  up                  down
rescale     none                          none, or l1                           none                none
votes       plain                         weighted                              plain               plain
tie         majority_or_minus             positive                              majority            drop
normalise   count, or none (``dis-sum``)  weight, or none                       count               count
==========  ============================  ====================================  ==================  ==========

The paper keeps a density of 0.2, has no weights (all are 1) and tunes lambda. The defaults are mergekit's, so that
recipes can be exchanged; a threshold per tensor also leaves no layer empty. Where mergekit would keep no element of a
tiny tensor and fail, one is kept. The other columns are the copies of TIES in the code of other papers; fusion_bench's
is the paper's with ``normalise: none``.

Prepared are histograms of every delta's magnitudes; a candidate costs one pass over base and models, and one more where
the sign of cancelling votes has to be counted (``tie: majority``).
"""

from __future__ import annotations

from evomerge.methods._shared.coefficients import delta_coefficients, delta_starts
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Options, Starts
from evomerge.methods._shared.mergekit import delta_mergekit, delta_parameters
from evomerge.methods._shared.sparsify.top_k import histograms_bytes, prepare_histograms
from evomerge.methods._shared.sparsify.trim import TIES_OPTIONS, survey, trim
from evomerge.methods._shared.task_vector import merging
from evomerge.recipe import Coefficient


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight``, ``density`` and ``lambda``."""
    return delta_coefficients(options, sparse=True)


def starts(n_models: int, options: Options) -> Starts:
    """See :func:`delta_starts`."""
    return delta_starts(n_models, options, sparse=True, elects=True)


METHOD = MergeMethod(
    name="ties",
    summary="trim small elements of deltas, elect signs, average what agrees",
    paper="Yadav et al. 2023, TIES-Merging: resolving interference when merging models, https://arxiv.org/abs/2306.01708",
    merge=merging(trim),
    coefficients=coefficients,
    options=TIES_OPTIONS,
    prepare=prepare_histograms,
    prepared_bytes=histograms_bytes,
    survey=survey,
    starts=starts,
    exact_starts="models",
    mergekit=delta_mergekit,
    mergekit_parameters=delta_parameters(normalize=True, rescale=False),
    agrees_with="the authors' code, mergekit 0.1.5",
)
