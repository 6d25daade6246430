"""TIES with a slack variable: the votes of some models count for more than what is merged of them.

Tao et al. 2024 merge a model trained further on a language with one fine-tuned on a task. The longer the former is
trained, the more of the latter's important elements lose the election; a slack variable keeps those. There is no code
of theirs, and this is our reading: a model's vote is its delta times ``1 + slack``, and ``weight`` is what is merged of
it as before. At slack 0 this is TIES, with its options but for a majority that would have to be counted.

Histograms of the deltas' magnitudes are prepared as for TIES; a candidate costs the same.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from evomerge.kernels import Finite
from evomerge.methods._shared.coefficients import delta_coefficients, delta_starts, per_model
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.elementwise import taking_part
from evomerge.methods._shared.inputs import Coefficients, Options, Starts, TensorContext, TensorSources
from evomerge.methods._shared.sparsify.top_k import histograms_bytes, prepare_histograms
from evomerge.methods._shared.sparsify.trim import TIES_OPTIONS, survey, trim
from evomerge.methods._shared.task_vector import mix_into, mixture
from evomerge.recipe import Coefficient

SLACK = Coefficient("slack", 0.0, 2.0, 0.0, minimum=0.0, doc="by how much a model's vote counts for more than 1")


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the base plus lambda times the average of what agrees with the elected signs."""
    if out.numel() == 0:
        return True
    slack, plain = per_model(coefficients["slack"]), mixture(context, sources, coefficients, trim)
    voters = zip(taking_part(coefficients), plain.parts, strict=True)
    parts = [replace(part, vote=part.vote * (1 + slack[model])) for model, part in voters]
    return mix_into(out, replace(plain, parts=parts), sources, coefficients)


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight``, ``density``, ``slack`` and ``lambda``."""
    return delta_coefficients(options, sparse=True, further=(SLACK,))


def starts(n_models: int, options: Options) -> Starts:
    """See :func:`delta_starts`."""
    return delta_starts(n_models, options, sparse=True, elects=True, further=(SLACK,))


METHOD = MergeMethod(
    name="ties_slack",
    summary="trim small elements of deltas, elect signs by votes of their own weight, average what agrees",
    paper="Tao et al. 2024, Unlocking the potential of model merging for low-resource languages (our reading), "
    "https://arxiv.org/abs/2407.03994",
    merge=merge,
    coefficients=coefficients,
    options={**TIES_OPTIONS, "tie": TIES_OPTIONS["tie"].choosing("positive", among=("positive", "drop"))},
    prepare=prepare_histograms,
    prepared_bytes=histograms_bytes,
    survey=survey,
    starts=starts,
    exact_starts="models",
)
