"""Keeps random elements of deltas, large ones more often: MAGPRUNE of DELLA (Deep et al. 2024)."""

from __future__ import annotations

from evomerge.kernels import BernoulliMask
from evomerge.methods._shared.coefficients import per_model
from evomerge.methods._shared.inputs import Coefficients, TensorContext, TensorSources
from evomerge.methods._shared.sparsify.random_drop import random_key_of
from evomerge.methods._shared.sparsify.ranks import ranks_of
from evomerge.recipe import Coefficient

# Above it the smallest elements would be kept with a probability so near zero that what is kept of them explodes when
# divided by it.
_MAX_EPSILON = 0.95

EPSILON = Coefficient(
    "epsilon",
    0.0,
    0.9,
    0.0,
    minimum=0.0,
    maximum=_MAX_EPSILON,
    doc="half-width of the range of keep probabilities, as a fraction of the widest: min(density, 1 - density)",
)


def magprune(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, model: int
) -> BernoulliMask | None:
    """Keep probabilities that rise linearly with the rank in the row, from density - width to density + width.

    A row of one element keeps it with probability ``density``.
    """
    density = per_model(coefficients["density"])[model]
    key = random_key_of(context, sources, model)
    if density >= 1:
        return None
    ranks, levels = ranks_of(sources, model)
    width = per_model(coefficients["epsilon"])[model] * min(density, 1 - density)
    rescale = sources.options["rescale"] == "own"
    if levels == 1:
        return BernoulliMask(key, density, 0.0, ranks, rescale)
    return BernoulliMask(key, density - width, 2 * width / (levels - 1), ranks, rescale)
