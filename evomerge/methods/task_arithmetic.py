"""Task arithmetic: the base plus a weighted sum of deltas.

The paper adds every delta with one scale; per-model weights say the same and more. mergekit's ``task_arithmetic`` is
the same with the same ``normalise`` (theirs is called ``normalize``).

Nothing is prepared; a candidate costs one pass over base and models.
"""

from __future__ import annotations

from evomerge.methods._shared.coefficients import delta_coefficients, delta_starts, per_model, shared
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Coefficients, Options, Starts
from evomerge.methods._shared.mergekit import delta_mergekit, delta_parameters
from evomerge.methods._shared.options import NORMALISE
from evomerge.methods._shared.task_vector import merging
from evomerge.recipe import Coefficient


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight`` and ``lambda``."""
    return delta_coefficients(options, sparse=False)


def starts(n_models: int, options: Options) -> Starts:
    """See :func:`delta_starts`."""
    return delta_starts(n_models, options, sparse=False, elects=False)


def sums(name: str, coefficients: Coefficients, options: Options) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Of the base itself less all that is added of the models, and of each model its weight times lambda."""
    weights, scale = per_model(coefficients["weight"]), shared(coefficients["lambda"])
    scale /= (sum(weights) or 1.0) if options["normalise"] == "weight" else 1.0
    factors = tuple(scale * weight for weight in weights)
    return (1.0, *(-factor for factor in factors)), factors


METHOD = MergeMethod(
    name="task_arithmetic",
    summary="base plus weighted sum of deltas",
    paper="Ilharco et al. 2023, Editing models with task arithmetic, https://arxiv.org/abs/2212.04089",
    merge=merging(),
    coefficients=coefficients,
    options={"normalise": NORMALISE.choosing("none", among=("none", "weight"))},
    starts=starts,
    sums=sums,
    mergekit=delta_mergekit,
    mergekit_parameters=delta_parameters(normalize=False),
    agrees_with="the authors' code, mergekit 0.1.5",
)
