"""Iso-CTS: common and task-specific directions of all deltas, with a flat spectrum.

The leading directions of the summed deltas are common; the leading directions of what each delta has besides are its
own. All of them together are made orthogonal, and each gets the mean of their singular values. A matrix of rank r has
``int(fraction * r)`` common directions, then as many fewer or more as it takes for the others to be the same number
for each of n experts, r in all. Other tensors get the mean delta.

==========  ============================  ==========================
option      Marczak et al. 2025           here
==========  ============================  ==========================
fraction    0.8                           0 to 1
weights     fixed                         fixed, or searched
others      mean                          mean, sum or base
stored                                    float32, or float16
==========  ============================  ==========================

The defaults are the paper's; their alpha is ``lambda``, tuned. Directions whose singular value is zero are left out,
where the code of the paper takes arbitrary ones. What is common is taken off a delta's left side alone, as there.

With ``weights: fixed`` the update of each matrix is prepared, an array of a model's size, and a candidate is one pass
over the base and it. With ``weights: searched`` the fraction is a coefficient too, and each candidate decomposes every
matrix anew, n + 1 times, and finds two polar factors.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch

from evomerge.kernels import Finite
from evomerge.methods._shared.coefficients import shared
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Coefficients, Options, Starts, TensorContext, TensorSources
from evomerge.methods._shared.spectral.decomposition import Svd, polar, svd
from evomerge.methods._shared.spectral.joint_update import joint_bytes, merge_joint, prepare_joint
from evomerge.methods._shared.spectral.matrices import decomposing_bytes, total_of
from evomerge.methods._shared.spectral.options import OTHERS, STORED, WEIGHTS, neutral_start, update_coefficients
from evomerge.options import Option
from evomerge.recipe import Coefficient

FRACTION = Option(
    0.8, None, float, "fraction of the directions that are common; a coefficient where weights are searched", low=0.0,
    high=1.0,
)  # fmt: skip
_FRACTION = Coefficient(
    "fraction",
    0.2,
    1.0,
    0.8,
    per_model=False,
    minimum=0.0,
    maximum=1.0,
    doc="fraction of the directions that are common to all deltas",
)


def shared_and_own(deltas: Sequence[torch.Tensor], options: Options) -> list[torch.Tensor]:
    """The update from the common directions of the deltas' sum and each delta's own."""
    total = svd(total_of(deltas))
    common, own = counts(min(deltas[0].shape), len(deltas), options["fraction"])
    known = total.left[:, :common]
    parts = [svd(delta - known @ (known.t() @ delta)).top(own) for delta in deltas]
    return [evened([*parts, total.top(common)])]


def counts(rank: int, n_models: int, fraction: float) -> tuple[int, int]:
    """Numbers of common directions and of each model's own; with those of all models they are the rank."""
    own = min(round((rank - int(rank * fraction)) / n_models), rank // n_models)
    return rank - own * n_models, own


def evened(parts: Sequence[Svd]) -> torch.Tensor:
    """The singular vectors of all parts, made orthogonal, each with the mean of the singular values."""
    left = polar(torch.cat([part.left for part in parts], dim=1))[0]
    right = polar(torch.cat([part.right for part in parts], dim=1))[0]
    values = torch.cat([part.values for part in parts])
    return (left @ right.t()) * (float(values.mean()) if len(values) else 0.0)


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the base plus lambda times the update."""

    def make(deltas: Sequence[torch.Tensor], options: Options) -> list[torch.Tensor]:
        return shared_and_own(deltas, {**options, "fraction": shared(coefficients["fraction"])})

    return merge_joint(make, context, sources, coefficients, out)


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``lambda``, and ``weight`` and ``fraction`` if they are searched."""
    return update_coefficients(options, *((_FRACTION,) if options["weights"] == "searched" else ()))


def starts(n_models: int, options: Options) -> Starts:
    """The method as it is published."""
    return neutral_start(n_models, coefficients(options))


METHOD = MergeMethod(
    name="iso_cts",
    summary="common and own directions of deltas, made orthogonal, with equal singular values",
    paper="Marczak et al. 2025, No task left behind: isotropic model merging, https://arxiv.org/abs/2502.04959",
    merge=merge,
    coefficients=coefficients,
    options={"fraction": FRACTION, "weights": WEIGHTS, "others": OTHERS, "stored": STORED},
    prepare=functools.partial(prepare_joint, shared_and_own),
    prepared_bytes=joint_bytes,
    scratch_bytes=decomposing_bytes,
    starts=starts,
    exact_starts="none",
    copies=None,
    agrees_with="the authors' code",
    cost="one pass over the base and an update that is prepared; with weights: searched a decomposition of each matrix",
)
