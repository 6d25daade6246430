"""Options that methods on singular values share."""

from __future__ import annotations

from evomerge.methods._shared.coefficients import scale, weight
from evomerge.methods._shared.inputs import Coefficients, Options, Starts
from evomerge.options import Option
from evomerge.recipe import Coefficient

OTHERS = Option(
    "mean",
    ("mean", "sum", "base"),
    str,
    "what tensors that are no matrices become: the base plus the mean or the sum of the deltas, or the base",
)
STORED = Option(
    "float32",
    ("float32", "float16"),
    str,
    "type of what is prepared; float16, scaled to its range, is good to 1/2000 of an update and takes half the room",
)
WEIGHTS = Option(
    "fixed", ("fixed", "searched"), str, "whether all deltas count alike, or each has a weight that can be searched"
)


def update_coefficients(options: Options, *further: Coefficient) -> tuple[Coefficient, ...]:
    """``lambda``, which is searched where there are no weights; before it ``weight``, if asked for, and others."""
    weighted = options["weights"] == "searched"
    return (*((weight(simplex=False, high=2.0),) if weighted else ()), *further, scale(searched=not weighted))


def neutral_start(n_models: int, declared: tuple[Coefficient, ...]) -> Starts:
    """The method as it is published, which is near no model and no sum of deltas."""
    point: Coefficients = {c.name: (c.neutral,) * n_models if c.per_model else c.neutral for c in declared}
    return {"neutral": point}
