"""DAM: a sum of the models in which every input column has a factor of its own for each model.

The factors are fitted once by gradient, so that the merged model gives on each model's texts what that model gives
(Gauthier-Caron et al. 2024). What is searched is how far they count: a factor ``c`` becomes ``1/n + strength * (c -
1/n)`` for n models, so that a strength of 0 is their mean, 1 the fitted model, and more goes beyond.

==========  =====================================  ======================================
option      Gauthier-Caron et al. and their code   here
==========  =====================================  ======================================
activation  None, or tanh of the fitted factors    none, or tanh
==========  =====================================  ======================================

Embeddings have a factor for each of their columns, norms for each element. Tensors without factors are the mean.
Prepared are the factors; a candidate costs one pass over the models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from evomerge.kernels import Finite, channel_factors, fill
from evomerge.methods._shared.averaging.averages import add_models
from evomerge.methods._shared.coefficients import shared
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Coefficients, Options, Starts, TensorContext, TensorSources
from evomerge.methods._shared.needs import Need, Statistics, channel_shapes, sound
from evomerge.options import Option
from evomerge.recipe import Coefficient

STRENGTH = Coefficient(
    "strength",
    0.0,
    1.5,
    1.0,
    per_model=False,
    doc="how far the fitted factors count: the mean of the models (0), as fitted (1), or beyond",
)
ACTIVATION = Option("none", ("none", "tanh"), str, "function of the fitted factors")


def prepare(
    context: TensorContext,
    base: torch.Tensor | None,
    models: Sequence[torch.Tensor],
    options: Options,
    statistics: Statistics,
) -> Mapping[str, torch.Tensor]:
    """``factors.I`` of each model: one for each column, or for each row of a matrix that is stored transposed."""
    found = sound(context.name, "dam", statistics["dam"], channel_shapes(models[0].shape))
    if found is None:
        return {}
    own = [array.tanh() if options["activation"] == "tanh" else array for array in found]
    return {f"factors.{number}": array.contiguous() for number, array in enumerate(own)}


def prepared_bytes(shape: Sequence[int], n_models: int, options: Options) -> int:
    """4 bytes for each column and model."""
    return 4 * n_models * max((shape[-1], shape[0]) if len(shape) == 2 else shape[-1:], default=0)


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the sum of the models, each column times its factor."""
    count, strength = len(sources.models), shared(coefficients["strength"])
    if strength == 0 or not sources.prepared:
        return add_models(sources, (1 / count,) * count, out)
    factors = [1 / count + strength * (sources.operand(f"factors.{model}") - 1 / count) for model in range(count)]

    def merged(span: slice) -> torch.Tensor:
        total = torch.zeros(span.stop - span.start, device=out.device)
        for model, factor in zip(sources.flat_models, factors, strict=True):
            total += model[span].to(torch.float32) * channel_factors(factor, span, out.shape)
        return total

    fill(out, merged)
    return None


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``strength``."""
    return (STRENGTH,)


def starts(n_models: int, options: Options) -> Starts:
    """As fitted: no single model can be reached."""
    return {"neutral": {"strength": STRENGTH.neutral}}


METHOD = MergeMethod(
    name="dam",
    summary="sum of the models with a factor of each input column and model, fitted once on the models' own texts",
    paper="Gauthier-Caron et al. 2024, Merging in a bottle: differentiable adaptive merging (DAM), "
    "https://arxiv.org/abs/2410.08371",
    merge=merge,
    coefficients=coefficients,
    options={"activation": ACTIVATION},
    base="optional",
    needs=lambda options: (Need("dam"),),
    prepare=prepare,
    prepared_bytes=prepared_bytes,
    starts=starts,
    copies=None,
    agrees_with="the authors' code",
    cost="a pass over the models",
)
