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

from collections.abc import Mapping, Sequence

import torch

from evomerge.kernels import Finite
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Coefficients, Options, Starts, TensorContext, TensorSources
from evomerge.methods._shared.spectral.decomposition import polar
from evomerge.methods._shared.spectral.matrices import decomposing_bytes
from evomerge.methods._shared.spectral.options import OTHERS, STORED, WEIGHTS, neutral_start, update_coefficients
from evomerge.methods._shared.spectral.updates import (
    merge_prepared,
    merge_weighted,
    prepare_updates,
    prepare_weighted,
    updates_bytes,
)
from evomerge.recipe import Coefficient


def flat_spectrum(deltas: Sequence[torch.Tensor], options: Options) -> list[torch.Tensor]:
    """The sum of the deltas with all its singular values at their mean."""
    factor, values = polar(torch.stack(list(deltas)).sum(0))
    return [factor * float(values.mean()) if len(values) else factor]


def prepare(
    context: TensorContext, base: torch.Tensor, models: Sequence[torch.Tensor], options: Options
) -> Mapping[str, torch.Tensor]:
    """The update of each matrix, where the weights are fixed."""
    if options["weights"] == "searched":
        return prepare_weighted(context, base, models)
    return prepare_updates(flat_spectrum, context, base, models, options)


def prepared_bytes(shape: Sequence[int], n_models: int, options: Options) -> int:
    """One array of the tensor's shape."""
    return 1 if options["weights"] == "searched" else updates_bytes(shape, 1, options)


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the base plus lambda times the update."""
    if sources.options["weights"] == "searched":
        return merge_weighted(flat_spectrum, context, sources, coefficients, out)
    return merge_prepared(context, sources, coefficients, out)


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
    merge=merge,
    coefficients=coefficients,
    options={"weights": WEIGHTS, "others": OTHERS, "stored": STORED},
    prepare=prepare,
    prepared_bytes=prepared_bytes,
    scratch_bytes=decomposing_bytes,
    starts=starts,
    exact_starts="none",
    copies=None,
    agrees_with="the authors' code",
    cost="one pass over the base and an update that is prepared; with weights: searched a decomposition of each matrix",
)
