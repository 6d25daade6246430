"""Methods that descend on the interference of every matrix once, and scale the merged delta where that ends."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence

import torch

from evomerge.kernels import Finite
from evomerge.methods._shared.coefficients import scale, shared
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Coefficients, Options, Starts, TensorContext, TensorSources
from evomerge.methods._shared.interference.descent import descend
from evomerge.methods._shared.interference.objective import Objective, preparing
from evomerge.methods._shared.matrices import MATRICES, REST, MatrixDeltas, add_update, is_optimised, merge_rest
from evomerge.options import Option

ObjectiveOf = Callable[[MatrixDeltas, Sequence[float], Options], Objective]
"""Gives the objective of some deltas, from their squared norms."""


def end_of(
    objective_of: ObjectiveOf, deltas: MatrixDeltas, squares: Sequence[float], options: Options
) -> Mapping[str, torch.Tensor]:
    """The merged delta at which the descent on an objective ends, float32 ``(out, in)``."""
    return {"delta": descend(objective_of(deltas, squares, options), deltas, options).cpu()}


def prepared_bytes(shape: Sequence[int], n_models: int, options: Options) -> int:
    """4 bytes per element of a matrix."""
    return 4 * math.prod(shape) if len(shape) == 2 else 0


def merge(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, out: torch.Tensor
) -> Finite | None:
    """Writes the base plus lambda times the merged delta."""
    factor = shared(coefficients["lambda"])
    if not sources.prepared:
        return merge_rest(context, sources, factor, out)
    delta = sources.operand("delta").view(-1)
    add_update(sources, lambda span: delta[span] * factor, out)
    return None


def starts(n_models: int, options: Options) -> Starts:
    """The method as it is published; it comes close to no single model."""
    return {"neutral": {"lambda": 1.0}}


def descending(
    name: str,
    summary: str,
    paper: str,
    objective_of: ObjectiveOf,
    scratch_bytes: Callable[[Sequence[int], int, Options], int],
    options: Mapping[str, Option],
) -> MergeMethod:
    """Declares such a method.

    Args:
        name: The method's name.
        summary: One sentence for people.
        paper: Title and address of the publication.
        objective_of: Its objective.
        scratch_bytes: The memory that making the objective and descending on it take, see the declaration.
        options: Its options; ``matrices`` and ``rest`` come before them.
    """
    return MergeMethod(
        name=name,
        summary=summary,
        paper=paper,
        merge=merge,
        coefficients=lambda options: (scale(searched=True),),
        options={"matrices": MATRICES, "rest": REST, **options},
        prepare=preparing(functools.partial(end_of, objective_of)),
        prepared_bytes=prepared_bytes,
        scratch_bytes=scratch_bytes,
        prepares=is_optimised,
        starts=starts,
        exact_starts="none",
        copies=None,
        agrees_with="the authors' code",
        cost="a pass over base and a prepared delta",
    )
