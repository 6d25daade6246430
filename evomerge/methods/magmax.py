"""MagMax: each element of the merged delta is that of the largest magnitude among the deltas.

Marczak et al. 2024 add 0.5 of it to the base (``lambda``; their code's ``scaling_coef``). Of equal magnitudes the later
model's counts, as in their code. They have no weights: ``weight`` multiplies each delta before magnitudes are compared,
and a model of weight 0 takes no part.

Nothing is prepared. A candidate reads every tensor once.
"""

from __future__ import annotations

import torch

from evomerge.kernels import Finite
from evomerge.methods._shared.coefficients import delta_starts, per_model, scale, shared, weight
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.elementwise import add_update, taking_part, weighted
from evomerge.methods._shared.inputs import Coefficients, Options, Starts, TensorContext, TensorSources
from evomerge.recipe import Coefficient


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the base plus lambda times the largest of the weighted deltas."""
    models, weights = taking_part(coefficients), per_model(coefficients["weight"])

    def update(deltas: list[torch.Tensor]) -> torch.Tensor:
        return largest(weighted(deltas, models, weights))

    add_update(sources, models, update, out, scale=shared(coefficients["lambda"]))
    return None


def largest(deltas: list[torch.Tensor]) -> torch.Tensor:
    """The elements of largest magnitude, of equal ones the last; what is not finite in any of them stays visible."""
    best = deltas[0]
    for delta in deltas[1:]:
        best = torch.lerp(best, delta, delta.abs().ge_(best.abs()))
    return best


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight`` and ``lambda``."""
    return (weight(simplex=False), scale(searched=False))


def starts(n_models: int, options: Options) -> Starts:
    """See :func:`delta_starts`."""
    return delta_starts(n_models, {"normalise": "count"}, sparse=False, elects=True)


METHOD = MergeMethod(
    name="magmax",
    summary="each element of the delta that has the largest magnitude there",
    paper="Marczak et al. 2024, MagMax: leveraging model merging for seamless continual learning, "
    "https://arxiv.org/abs/2407.06322",
    merge=merge,
    coefficients=coefficients,
    starts=starts,
    exact_starts="models",
    symmetric=False,  # of equal magnitudes the later model's counts
    agrees_with="the authors' code",
)
