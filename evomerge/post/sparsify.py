"""Keeps the elements of largest magnitude of each tensor's merged delta, and rescales them.

It is the trim of TIES (Yadav et al. 2023) and the rescaling of DARE (Yu et al. 2024), done to the merged delta instead
of to the deltas before they are merged. Nothing is prepared: a candidate costs a histogram and a pass of each merged
tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from evomerge.kernels import Mixture, Part, Window, absolute_sum, flat, histogram_of, mix
from evomerge.methods import TensorSources
from evomerge.methods._shared.coefficients import density
from evomerge.methods._shared.options import KEPT, RESCALE
from evomerge.methods._shared.sparsify.top_k import TopK, threshold_rank, thresholds_of_tensor
from evomerge.post._shared.declaration import Options, PostProcess, StepContext, Values
from evomerge.post._shared.merged_values import merged_values
from evomerge.recipe import Coefficient


def _coefficients(options: Options) -> tuple[Coefficient, ...]:
    return (replace(density(), per_model=False, doc="fraction of the merged delta's elements that is kept"),)


def _apply(context: StepContext, sources: TensorSources, delta: torch.Tensor, values: Values) -> torch.Tensor | None:
    if delta.numel() == 0:
        return None
    fraction, rescale = values["density"], context.options["rescale"]
    elements = merged_values(flat(delta))
    largest = TopK(elements, histogram_of(elements), threshold_rank(fraction, delta.numel(), context.options))
    mask = Window(thresholds_of_tensor([largest], context.options["kept"])[0])
    factor = 1.0 / fraction if rescale == "inverse" else 1.0
    if rescale == "l1":
        after = absolute_sum(elements, mask)
        factor = absolute_sum(elements) / after if after > 0 else 1.0
    kept = torch.empty_like(delta)
    mix(Mixture(elements.base, [Part(elements.model, 1.0, mask=mask, factor=factor)]), kept)
    return kept


def _identity(values: Values, options: Options) -> bool:
    return values["density"] == 1.0


def _working_bytes(shape: Sequence[int], n_models: int, options: Options) -> int:
    """A result, and a base of zeros in two bytes each."""
    return 6 * torch.Size(shape).numel()


STEP = PostProcess(
    name="sparsify",
    summary="Keeps the elements of largest magnitude of each tensor's merged delta.",
    paper="the trim of TIES-Merging, https://arxiv.org/abs/2306.01708, done to the merged delta",
    apply=_apply,
    coefficients=_coefficients,
    options={"kept": KEPT, "rescale": RESCALE},
    identity=_identity,
    working_bytes=_working_bytes,
    agrees_with="an example worked by hand",
    cost="a histogram and a pass of the merged delta",
)
