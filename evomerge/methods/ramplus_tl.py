"""RAM+: as RAM, with what a model changed alone made larger the more of its changes it shares with others.

What a model changed alone is multiplied by ``1 + r * min(shared / alone, alpha)``, of the numbers of elements that it
changed together with others and alone, to make up for what averaging takes away from the former.

======  ======================================  ==============================
option  Yuan et al. 2026 and their code         mergekit's ``ramplus_tl``
======  ======================================  ==============================
scope   global: counted over the whole model    tensor: each by itself
======  ======================================  ==============================

The authors have ``alpha`` 1 and ``r`` 0.2 (``rescale_factor`` 1.2, less 1; 0.05 by default in their code); mergekit has
``alpha`` 0.2 and ``r`` 0.1. The defaults are mergekit's, whose name this is. ``weight`` multiplies each delta and is
ours; models of weight 0 take no part, but in the counts, which are prepared: 16 bytes for each model and tensor. A
candidate reads every tensor once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from evomerge.kernels import Finite, spans
from evomerge.methods._shared.activity import EPSILON, EPSILON_PARAMETER, add_active, changed, counted
from evomerge.methods._shared.coefficients import delta_starts, scale, shared, weight
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.elementwise import deltas_of
from evomerge.methods._shared.inputs import (
    Coefficients,
    Options,
    Starts,
    TensorContext,
    TensorSet,
    TensorSources,
    by_model,
)
from evomerge.methods._shared.options import SCOPE
from evomerge.recipe import Coefficient

_DOC = "changes that a model shares with others, for each of its own,"
R = Coefficient(
    "r", 0.0, 1.0, 0.1, per_model=False, minimum=0.0, doc=f"factor of the number of {_DOC} by which its own grow"
)
ALPHA = Coefficient("alpha", 0.0, 1.0, 0.2, per_model=False, minimum=0.0, doc=f"most {_DOC} that count")


def prepare(
    context: TensorContext, base: torch.Tensor, models: Sequence[torch.Tensor], options: Options
) -> Mapping[str, torch.Tensor]:
    """``counts``: of each model, the elements that it changed together with others, and alone; ``(models, 2)``."""
    sources, epsilon = TensorSources(base, models, options), options["epsilon"]
    counts = torch.zeros(len(models), 2, dtype=torch.int64)
    for span in spans(base.numel(), device=base.device):
        kept = [changed(delta, epsilon) for delta in deltas_of(sources, span)]
        together = counted(kept).gt_(1.0)
        for row, own in zip(counts, kept, strict=True):
            both = int(torch.count_nonzero(own * together))
            row += torch.tensor([both, int(torch.count_nonzero(own)) - both])
    return {"counts": counts}


def survey(tensors: TensorSet, options: Options) -> list[list[int]] | None:
    """The counts of the whole model, with ``scope: global``."""
    if options["scope"] == "tensor":
        return None
    rows = by_model(sources.prepared["counts"].tolist() for _, sources in tensors)
    return [[sum(column) for column in zip(*row, strict=True)] for row in rows]


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the base plus lambda times what was changed, averaged where several changed it, else scaled."""
    counts = sources.prepared["counts"].tolist() if sources.survey is None else sources.survey
    r, alpha = shared(coefficients["r"]), shared(coefficients["alpha"])
    # Of a model that changed nothing alone the factor is that of nothing.
    factors = {m: 1 + r * min(both / max(1, own), alpha) for m, (both, own) in enumerate(counts)}
    return add_active(sources, coefficients, factors, out)


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight``, ``r``, ``alpha`` and ``lambda``."""
    return (weight(simplex=False), R, ALPHA, scale(searched=False))


def starts(n_models: int, options: Options) -> Starts:
    """Those of RAM, see :func:`delta_starts`; and mergekit's defaults."""
    plain = delta_starts(n_models, {"normalise": "count"}, sparse=False, elects=True, further=(R, ALPHA))
    points: dict[str, Coefficients] = {name: {**values, "r": 0.0} for name, values in plain.items()}
    return points | {"neutral": plain["uniform"]}


def mergekit(options: Options) -> Mapping[str, Any] | None:
    """Mergekit's ``ramplus_tl``."""
    return {"epsilon": options["epsilon"]} if options["scope"] == "tensor" else None


METHOD = MergeMethod(
    name="ramplus_tl",
    summary="as ram, with what a model changed alone made larger the more of its changes it shares",
    paper="Yuan et al. 2026, Behavior knowledge merge in reinforced agentic models, https://arxiv.org/abs/2601.13572",
    merge=merge,
    coefficients=coefficients,
    options={"scope": SCOPE, "epsilon": EPSILON},
    prepare=prepare,
    prepared_bytes=lambda shape, n_models, options: 16 * n_models,
    survey=survey,
    starts=starts,
    exact_starts="models",
    mergekit=mergekit,
    mergekit_parameters=EPSILON_PARAMETER,
)
