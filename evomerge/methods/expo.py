"""ExPO: extrapolation past the models, away from the base.

Zheng et al. 2024 take as the base the supervised model that an aligned one (by DPO, say) was trained from, and go on in
that direction: the aligned model plus ``alpha`` times its delta, alpha 0.1 to 0.5. Of several models the average is
extrapolated (ours): the base plus ``1 + alpha`` times the average delta. Negative values of alpha interpolate.

Nothing is prepared. A candidate is a weighted sum.
"""

from __future__ import annotations

import torch

from evomerge.kernels import Finite, Mixture, Part, mix
from evomerge.methods._shared.coefficients import model_starts, per_model, shared, weight
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Coefficients, Options, Starts, TensorContext, TensorSources
from evomerge.recipe import Coefficient

ALPHA = Coefficient(
    "alpha", 0.0, 1.0, 0.0, per_model=False, doc="how far to go past the models, in lengths of the average delta"
)


def factors(coefficients: Coefficients) -> tuple[float, ...]:
    """The factor of each model's delta."""
    weights = per_model(coefficients["weight"])
    reach = (1 + shared(coefficients["alpha"])) / (sum(weights) or 1.0)
    return tuple(reach * own for own in weights)


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the extrapolated tensor."""
    pairs = zip(sources.flat_models, factors(coefficients), strict=True)
    return mix(Mixture(sources.flat_base, [Part(model, factor) for model, factor in pairs if factor]), out).finite


def sums(name: str, coefficients: Coefficients, options: Options) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Of the base itself less all that is added of the models, and of each model its factor."""
    own = factors(coefficients)
    return (1.0, *(-factor for factor in own)), own


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight``, proportions, and ``alpha``."""
    return (weight(simplex=True), ALPHA)


def starts(n_models: int, options: Options) -> Starts:
    """All models alike, and every model alone, as they are."""
    return {name: {**values, "alpha": 0.0} for name, values in model_starts(n_models, options).items()}


METHOD = MergeMethod(
    name="expo",
    summary="extrapolation from the base past the average of the models",
    paper="Zheng et al. 2024, Weak-to-strong extrapolation expedites alignment, https://arxiv.org/abs/2404.16792",
    merge=merge,
    coefficients=coefficients,
    starts=starts,
    sums=sums,
    agrees_with="the authors' code",
)
