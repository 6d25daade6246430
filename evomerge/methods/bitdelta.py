"""BitDelta: a weighted sum of deltas that are compressed to one bit per element, their sign, and one scale per matrix.

The scale is the mean magnitude of the delta, as in Liu et al. 2024 before they train it. It is a merge of what is left
of each expert when many are served from one base.

========  ============================================================================================================
option    Liu et al. 2024 and their code
========  ============================================================================================================
compress  layers: matrices of layers alone, other deltas stay whole; all is ours
zeros     plus: what does not differ from the base counts as positive; keep leaves it
========  ============================================================================================================

They compress one model: ``weight`` 1. Scales are prepared, 8 bytes for each model and tensor; a candidate reads every
tensor once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from evomerge.kernels import Delta, Finite, Mixture, Part, absolute_sum, flat, mix
from evomerge.methods._shared.coefficients import delta_starts, per_model, scale, shared, weight
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.elementwise import add_update, summed, taking_part
from evomerge.methods._shared.inputs import Coefficients, Options, Starts, TensorContext, TensorSources
from evomerge.options import Option
from evomerge.recipe import Coefficient

COMPRESS = Option("layers", ("layers", "all"), str, "which deltas are compressed: matrices of layers, or every tensor")
ZEROS = Option("plus", ("plus", "keep"), str, "elements that do not differ from the base: counted as positive, or left")


def prepare(
    context: TensorContext, base: torch.Tensor, models: Sequence[torch.Tensor], options: Options
) -> Mapping[str, torch.Tensor]:
    """``scales``: the mean magnitude of each delta."""
    start, numel = flat(base), max(1, base.numel())
    means = [absolute_sum(Delta(start, flat(model))) / numel for model in models]
    return {"scales": torch.tensor(means, dtype=torch.float64)}


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the base plus lambda times the weighted sum of the compressed deltas."""
    models, weights = taking_part(coefficients), per_model(coefficients["weight"])
    factor = shared(coefficients["lambda"])
    if sources.options["compress"] == "layers" and (context.layer is None or out.dim() < 2):
        parts = [Part(sources.flat_models[model], weights[model]) for model in models]
        return mix(Mixture(sources.flat_base, parts, scale=factor), out).finite
    scales, keep = sources.prepared["scales"].tolist(), sources.options["zeros"] == "keep"

    def compressed(delta: torch.Tensor, step: float) -> torch.Tensor:
        # What is not finite makes the step so.
        return delta.sign_().mul_(step) if keep else delta.lt_(0.0).mul_(-2 * step).add_(step)

    def update(deltas: list[torch.Tensor]) -> torch.Tensor:
        steps = [weights[model] * scales[model] for model in models]
        return summed([compressed(delta, step) for delta, step in zip(deltas, steps, strict=True)])

    add_update(sources, models, update, out, scale=factor)
    return None


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight`` and ``lambda``."""
    return (weight(simplex=False), scale(searched=False))


def starts(n_models: int, options: Options) -> Starts:
    """See :func:`delta_starts`, of compressed deltas."""
    return delta_starts(n_models, {"normalise": "none"}, sparse=False, elects=False)


METHOD = MergeMethod(
    name="bitdelta",
    summary="weighted sum of deltas compressed to their signs and one scale per matrix",
    paper="Liu et al. 2024, BitDelta: your fine-tune may only be worth one bit, https://arxiv.org/abs/2402.10193",
    merge=merge,
    coefficients=coefficients,
    options={"compress": COMPRESS, "zeros": ZEROS},
    prepare=prepare,
    prepared_bytes=lambda shape, n_models, options: 8 * n_models,
    starts=starts,
    exact_starts="none",
    copies=None,
    agrees_with="the authors' code",
)
