"""Model breadcrumbs: leave out the largest and the smallest elements of deltas, add a weighted sum.

==========  ==========================================  =======================================
option      Davari and Belilovsky 2023 and their code   mergekit's ``breadcrumbs``
==========  ==========================================  =======================================
scope       row                                         tensor
rounding    down                                        down
yields      density                                     gamma
small       keep                                        zero
rescale     none                                        none, or l1
normalise   none                                        none, or weight
==========  ==========================================  =======================================

The defaults are the paper's, which keeps a density of 0.05 to 0.2 below a gamma of 0.001 to 0.01 and adds all deltas
with one scale. mergekit drops the whole delta of a tensor that has less than 1 / gamma elements (``small: zero``), as
norms easily have; nothing speaks for it but equal results. Else at least one element of each row or tensor is kept,
where the code of the paper keeps none of a row so short that its density means less than one: of under 7 elements at a
density of 0.15.

At gamma 0 this is pruning by magnitude. With ``scope: tensor`` and ``rounding: up`` that is what the code of DARE drops
elements by where its strategy is ``magnitude``, without rescaling.

Prepared are the ranks of elements within rows, 2 bytes for each element and model, or with ``scope: tensor`` histograms
of their magnitudes; a candidate costs one pass over base and models.
"""

from __future__ import annotations

from evomerge.methods._shared.coefficients import delta_coefficients, delta_starts
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Options, Starts
from evomerge.methods._shared.mergekit import WINDOW, delta_parameters, window_mergekit
from evomerge.methods._shared.options import NORMALISE, RESCALE
from evomerge.methods._shared.sparsify.window import GAMMA, WINDOW_OPTIONS, medium, prepare_window, window_bytes
from evomerge.methods._shared.task_vector import merging
from evomerge.recipe import Coefficient


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight``, ``density``, ``gamma`` and ``lambda``."""
    return delta_coefficients(options, sparse=True, further=(GAMMA,))


def starts(n_models: int, options: Options) -> Starts:
    """See :func:`delta_starts`."""
    return delta_starts(n_models, options, sparse=True, elects=False, further=(GAMMA,))


METHOD = MergeMethod(
    name="breadcrumbs",
    summary="leave out the largest and the smallest elements of deltas, but not all of a row, add a weighted sum",
    paper="Davari and Belilovsky 2023, Model breadcrumbs, https://arxiv.org/abs/2312.06795",
    merge=merging(medium),
    coefficients=coefficients,
    options={
        **WINDOW_OPTIONS,
        "rescale": RESCALE,
        "normalise": NORMALISE.choosing("none", among=("none", "weight")),
    },
    prepare=prepare_window,
    prepared_bytes=window_bytes,
    starts=starts,
    mergekit=window_mergekit,
    mergekit_parameters=delta_parameters(normalize=False, rescale=False, always=WINDOW),
    agrees_with="the authors' code, mergekit 0.1.5",
)
