"""VaRM: a weighted average of deltas, each weighing by how much it changes the tensor.

=========  ===========================================================================================================
option     Wan et al. 2024 (the first FuseChat) and their code
=========  ===========================================================================================================
scope      tensor (``avg_param``), global (``avg_model``), element (``avg_item``: every element by itself)
size       square, or absolute (``merge_type``)
shares     proportional, or softmax (``use_sfmax``, with a temperature of 1 / ``sharpness``)
unchanged  even: where one model's delta is zero, all weigh the same; nothing: that one has no share
=========  ===========================================================================================================

They have no coefficients: ``weight`` is the same for all, ``sharpness`` and ``lambda`` are 1; with ``scope: element``
there is no sharpness. The published script reads one file of sizes for all models, so that all weigh the same; here
each model has its own. With ``element`` it divides by no less than 1e-13, here by what there is.

Prepared is one number for each model and tensor; a candidate costs one pass over base and models.
"""

from __future__ import annotations

import torch

from evomerge.kernels import Finite
from evomerge.methods._shared.coefficients import delta_starts, per_model, scale, shared, weight
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.delta_sizes import (
    SHARES,
    SIZE,
    merge_by_size,
    prepare_sizes,
    size_coefficients,
    size_starts,
    sizes_bytes,
    survey_sizes,
)
from evomerge.methods._shared.elementwise import add_update, summed, taking_part, weighted
from evomerge.methods._shared.inputs import Coefficients, Options, Starts, TensorContext, TensorSources
from evomerge.options import Option
from evomerge.recipe import Coefficient

_SCOPE = Option(
    "tensor",
    ("tensor", "global", "element"),
    str,
    "whose change counts: each tensor's by itself, the whole model's, or each element's",
)
_UNCHANGED = Option(
    "even",
    ("even", "nothing"),
    str,
    "where one model's delta is zero: all models weigh the same, or that one has no share",
)


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the base plus lambda times the weighted average of the deltas."""
    if sources.options["scope"] != "element":
        return merge_by_size(context, sources, coefficients, out)
    models, weights = taking_part(coefficients), per_model(coefficients["weight"])
    square = sources.options["size"] == "square"

    def update(deltas: list[torch.Tensor]) -> torch.Tensor:
        sizes = weighted([delta.square() if square else delta.abs() for delta in deltas], models, weights)
        total = summed([delta.mul_(size) for delta, size in zip(deltas, sizes, strict=True)])
        divisor = summed(sizes)
        return total.div_(divisor.add_(divisor.clone().eq_(0.0)))

    add_update(sources, models, update, out, scale=shared(coefficients["lambda"]))
    return None


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight``, proportions, ``sharpness`` and ``lambda``; without sharpness where every element has its shares."""
    if options["scope"] == "element":
        return (weight(simplex=True), scale(searched=True))
    return size_coefficients(options)


def starts(n_models: int, options: Options) -> Starts:
    """See :func:`size_starts`; of elements, where what differs is no average, the nearest points."""
    if options["scope"] == "element":
        return delta_starts(n_models, {"normalise": "weight"}, sparse=False, elects=True)
    return size_starts(n_models, options)


METHOD = MergeMethod(
    name="varm",
    summary="average of deltas by how much each changes the tensor",
    paper="Wan et al. 2024, FuseChat: knowledge fusion of chat models, https://arxiv.org/abs/2402.16107",
    merge=merge,
    coefficients=coefficients,
    options={"scope": _SCOPE, "size": SIZE, "shares": SHARES, "unchanged": _UNCHANGED},
    prepare=prepare_sizes,
    prepared_bytes=sizes_bytes,
    survey=survey_sizes,
    starts=starts,
    exact_starts="models",
    agrees_with="the authors' code",
)
