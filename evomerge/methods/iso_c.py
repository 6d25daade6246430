"""Iso-C: the sum of all deltas with a flat spectrum.

All singular values of a matrix's summed deltas become their mean, so the directions that several experts agree on no
longer drown the others. Other tensors get the mean delta.

==========  ============================  ==========================
option      Marczak et al. 2025           here
==========  ============================  ==========================
weights     fixed                         fixed, or searched
others      mean                          mean, sum or base
stored                                    float32, or float16
==========  ============================  ==========================

The defaults are the paper's; their alpha is ``lambda``, tuned. Where a sum of deltas has fewer directions than its
shorter side, as low-rank adapters have, the code of the paper gives the mean to arbitrary further ones; here those stay
zero, and the mean is that of the directions there are.

With ``weights: fixed`` the update of each matrix is prepared, an array of a model's size, and a candidate is one pass
over the base and it. With ``weights: searched`` each candidate decomposes every matrix anew, in about the time of
``torch.linalg.svd``.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch

from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Options, Starts
from evomerge.methods._shared.spectral.decomposition import polar
from evomerge.methods._shared.spectral.joint_update import joint_bytes, merge_joint, prepare_joint
from evomerge.methods._shared.spectral.matrices import decomposing_bytes, total_of
from evomerge.methods._shared.spectral.options import OTHERS, STORED, WEIGHTS, neutral_start, update_coefficients
from evomerge.recipe import Coefficient


def flat_spectrum(deltas: Sequence[torch.Tensor], options: Options) -> list[torch.Tensor]:
    """The sum of the deltas with all its singular values at their mean."""
    factor, values = polar(total_of(deltas))
    return [factor.mul_(float(values.mean())) if len(values) else factor]


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``lambda``, and ``weight`` if that is searched."""
    return update_coefficients(options)


def starts(n_models: int, options: Options) -> Starts:
    """The method as it is published."""
    return neutral_start(n_models, coefficients(options))


METHOD = MergeMethod(
    name="iso_c",
    summary="sum of deltas whose singular values are all made equal",
    paper="Marczak et al. 2025, No task left behind: isotropic model merging, https://arxiv.org/abs/2502.04959",
    merge=functools.partial(merge_joint, flat_spectrum),
    coefficients=coefficients,
    options={"weights": WEIGHTS, "others": OTHERS, "stored": STORED},
    prepare=functools.partial(prepare_joint, flat_spectrum),
    prepared_bytes=joint_bytes,
    scratch_bytes=decomposing_bytes,
    starts=starts,
    exact_starts="none",
    copies=None,
    agrees_with="the authors' code",
    cost="one pass over the base and an update that is prepared; with weights: searched a decomposition of each matrix",
)
