"""RAM: what one model changed alone is added as it is, what several changed is averaged among those.

Experts trained by reinforcement learning change few elements, and largely different ones, which an average of all
deltas dilutes (Yuan et al. 2026, Reinforced Agent Merging). An element is changed where its delta is above ``epsilon``,
1e-5 in the authors' code and in mergekit, which agree. They have no weights: ``weight`` multiplies each delta, the
average stays one by number, and a model of weight 0 takes no part.

The threshold is a difference of weights as they are: between models stored in bfloat16 it is less than most weights can
differ by, so all elements that differ are changed. Nothing is prepared; a candidate reads every tensor once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from evomerge.kernels import Finite
from evomerge.methods._shared.activity import EPSILON, EPSILON_PARAMETER, add_active
from evomerge.methods._shared.coefficients import delta_starts, scale, weight
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Coefficients, Options, Starts, TensorContext, TensorSources
from evomerge.recipe import Coefficient


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the base plus lambda times what was changed, averaged where several changed it."""
    return add_active(sources, coefficients, None, out)


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight`` and ``lambda``."""
    return (weight(simplex=False), scale(searched=False))


def starts(n_models: int, options: Options) -> Starts:
    """See :func:`delta_starts`."""
    return delta_starts(n_models, {"normalise": "count"}, sparse=False, elects=True)


def mergekit(options: Options) -> Mapping[str, Any]:
    """Mergekit's ``ram``."""
    return {"epsilon": options["epsilon"]}


METHOD = MergeMethod(
    name="ram",
    summary="deltas as they are where one model changed an element, their average where several did",
    paper="Yuan et al. 2026, Behavior knowledge merge in reinforced agentic models, https://arxiv.org/abs/2601.13572",
    merge=merge,
    coefficients=coefficients,
    options={"epsilon": EPSILON},
    starts=starts,
    exact_starts="models",
    mergekit=mergekit,
    mergekit_parameters=EPSILON_PARAMETER,
)
