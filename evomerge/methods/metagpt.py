"""MetaGPT: a weighted sum of deltas, each weighing by its squared length.

The weight of Zhou et al. 2024 is the squared length of the delta of the whole model over the sum of these for all
models, which under their assumptions has the least mean loss, without data.

======  =====================================================================
option  Zhou et al. 2024
======  =====================================================================
scope   global: one weight per model; tensor is ours, and VaRM's
size    square
shares  proportional
======  =====================================================================

They have no coefficients: ``weight`` is the same for all, ``sharpness`` and ``lambda`` are 1.

Prepared is one number for each model and tensor; a candidate costs one pass over base and models.
"""

from __future__ import annotations

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
from evomerge.methods._shared.options import SCOPE
from evomerge.options import Option

_SCOPE = Option("global", SCOPE.choices, str, "whose length counts: each tensor's by itself, or the whole model's")

METHOD = MergeMethod(
    name="metagpt",
    summary="average of deltas by their squared lengths",
    paper="Zhou et al. 2024, MetaGPT: merging large language models using model exclusive task arithmetic, "
    "https://arxiv.org/abs/2406.11385",
    merge=merge_by_size,
    coefficients=size_coefficients,
    options={"scope": _SCOPE, "size": SIZE, "shares": SHARES},
    prepare=prepare_sizes,
    prepared_bytes=sizes_bytes,
    survey=survey_sizes,
    starts=size_starts,
    agrees_with="STAR's authors' code",
)
