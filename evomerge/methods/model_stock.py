"""Model Stock: the mean of the models, drawn towards the base by how far apart the deltas point.

The ratio is ``t = n c / (1 + (n - 1) c)`` for ``n`` models whose deltas have the cosine ``c`` in the mean over pairs:
1 where all point the same way, 0 where they are orthogonal, and negative where they oppose each other.

===========  ===================  ========================================  ==============
option       Jang et al. 2024     mergekit's ``model_stock``                fusion_bench
===========  ===================  ========================================  ==============
vectors      tensor: each layer   tensor, or rows (``filter_wise: true``)   tensor
mean         (no code)            cosines                                   angles
least        0                    1e-6                                      1e-8
===========  ===================  ========================================  ==============

All average the models evenly and add what comes as it is: ``weight`` is then the same for all, and ``lambda`` 1. Where
deltas oppose each other so exactly that the ratio has no bound, the base stays. The defaults are mergekit's; the rule
in MergeLLM is the same.

Prepared are inner products of the deltas, 8 bytes for each pair of models and vector; a candidate costs one pass over
base and models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from evomerge.kernels import Finite
from evomerge.methods._shared.coefficients import per_model, scale, shared, weight
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Coefficients, Options, Starts, TensorContext, TensorSources
from evomerge.methods._shared.mergekit import MergekitParameters
from evomerge.methods._shared.vectors import VECTORS, add_up, grams_bytes, prepare_grams
from evomerge.options import Option
from evomerge.recipe import Coefficient

LEAST = Option(
    1e-6, None, float, "least product of two deltas' lengths: their cosine is taken as if it were this long", low=0.0
)
MEAN = Option(
    "cosines",
    ("cosines", "angles"),
    str,
    "what the mean over pairs of deltas is taken of: their cosines, or their angles",
    later=True,
)
_LEAST_DIVISOR = 1e-6


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the base plus lambda and the ratio times the mean delta."""
    options = sources.options
    weights = torch.tensor(per_model(coefficients["weight"]), dtype=torch.float64)
    shares = weights / (weights.sum() or 1.0) * shared(coefficients["lambda"])
    factors = ratios(sources.prepared["grams"], options)[:, None] * shares
    return add_up(sources.flat_base, sources.flat_models, factors, options["vectors"], out)


def ratios(grams: torch.Tensor, options: Options) -> torch.Tensor:
    """The share of the mean of the models in each vector, ``(vectors,)``; the rest is the base's."""
    count = grams.shape[1]
    lengths = grams.diagonal(dim1=1, dim2=2).sqrt()
    products = (lengths[:, :, None] * lengths[:, None, :]).clamp(
        min=max(options["least"], torch.finfo(torch.float64).tiny)
    )
    above, right = torch.triu_indices(count, count, offset=1)
    cosines = (grams / products).clamp(-1, 1)[:, above, right]
    cosine = cosines.acos().mean(dim=1).cos() if options["mean"] == "angles" else cosines.mean(dim=1)
    divisor = 1 + (count - 1) * cosine
    return torch.where(divisor.abs() < _LEAST_DIVISOR, 0.0, count * cosine / divisor)


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight``, proportions, and ``lambda``."""
    return (weight(simplex=True), scale(searched=True))


def starts(n_models: int, options: Options) -> Starts:
    """The method as it is published. How near that comes to models depends on their angles."""
    return {"neutral": {"weight": (1 / n_models,) * n_models, "lambda": 1.0}}


def mergekit(options: Options) -> Mapping[str, Any] | None:
    """Mergekit's ``model_stock``."""
    if options["vectors"] == "columns" or options["mean"] != MEAN.default or options["least"] != LEAST.default:
        return None
    return {"filter_wise": options["vectors"] == "rows"}


METHOD = MergeMethod(
    name="model_stock",
    summary="mean of the models, drawn towards the base by the angles between deltas",
    paper="Jang et al. 2024, Model Stock, https://arxiv.org/abs/2403.19522",
    merge=merge,
    coefficients=coefficients,
    options={"vectors": VECTORS, "mean": MEAN, "least": LEAST},
    models=(2, None),
    prepare=prepare_grams,
    prepared_bytes=grams_bytes,
    starts=starts,
    exact_starts="none",
    mergekit=mergekit,
    mergekit_parameters=MergekitParameters(
        defaults={"filter_wise": False},
        read=lambda parameters: {"vectors": "rows" if parameters["filter_wise"] else "tensor"},
        lacks=("weight", "lambda"),
    ),
    agrees_with="mergekit 0.1.5",
)
