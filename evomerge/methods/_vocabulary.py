"""The options and coefficients that several methods share: one word for one thing.

The methods that work on deltas are points of one product: which
elements of a delta are kept, how the kept ones are rescaled, how the sign of an element is elected, and what the sum of
the agreeing elements is divided by. Publications and mergekit are other points of the same product; the docstring of
each method names them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from evomerge.methods._declaration import Coefficients, Option, Options, Starts
from evomerge.recipe import Coefficient

SCOPE = Option(
    "tensor",
    ("tensor", "global"),
    str,
    "what density is a fraction of: every tensor by itself, or the whole model, with one threshold per model",
)
KEPT = Option(
    "exact",
    ("exact", "threshold"),
    str,
    "exact: int(density * elements) of them, the first of equal ones; threshold: all from the next smaller one up",
)
RESCALE = Option(
    "none",
    ("none", "inverse", "l1"),
    str,
    "kept elements are divided by density (inverse) or scaled to the sum of absolute values before (l1)",
)
RESCALE_OWN = replace(
    RESCALE,
    default="own",
    choices=("own", "none", "inverse", "l1"),
    doc="kept elements are divided by their own probability (own), or as in other methods: by density (inverse), scaled"
    " to the sum of absolute values before (l1), or left (none)",
)
VOTES = Option(
    "weighted",
    ("weighted", "plain"),
    str,
    "whether the sign of an element is elected by weighted or by plain deltas; experts of weight 0 never vote",
)
TIE = Option(
    "positive",
    ("positive", "majority", "drop"),
    str,
    "sign elected where the votes cancel: plus, that of most other elements, or none (the element stays the base's)",
)
TIES: Mapping[str, float | None] = {"positive": 1.0, "drop": 0.0, "majority": None}
"""The sign that each choice of ``tie`` elects; None has to be counted."""
NORMALISE = Option(
    "weight",
    ("weight", "count", "none"),
    str,
    "what the sum over (agreeing) models is divided by: their weights, their number, or nothing",
)

# Below this, 1 / density and int(density * elements) mean nothing for any model.
MIN_DENSITY = 1e-6


def weight(*, simplex: bool, high: float = 1.5) -> Coefficient:
    """The weight of each model: only proportions matter on a simplex, else any sign is allowed."""
    if simplex:
        return Coefficient("weight", 0.0, 1.0, 1.0, simplex=True, minimum=0.0, doc="proportion of each model")
    return Coefficient("weight", 0.0, high, 1.0, doc="weight of each model; may be negative")


def density() -> Coefficient:
    """The fraction of each delta's elements that is kept."""
    return Coefficient(
        "density",
        0.05,
        1.0,
        1.0,
        minimum=MIN_DENSITY,
        maximum=1.0,
        doc="fraction of each delta's elements that is kept",
    )


def scale(*, searched: bool) -> Coefficient:
    """``lambda``, the scale of the merged delta. Not searched where the weights already set that scale."""
    return Coefficient("lambda", 0.1, 2.5, 1.0, per_model=False, searched=searched, doc="scale of the merged delta")


def per_model(value: float | tuple[float, ...]) -> tuple[float, ...]:
    """A per-model coefficient's values."""
    if not isinstance(value, tuple):
        raise TypeError(f"expected one value per model, got {value!r}")
    return value


def shared(value: float | tuple[float, ...]) -> float:
    """A shared coefficient's value."""
    if isinstance(value, tuple):
        raise TypeError(f"expected one value for all models, got {value!r}")
    return value


def alone(model: int, n_models: int) -> tuple[float, ...]:
    """Weights that leave one model."""
    return tuple(float(i == model) for i in range(n_models))


def delta_coefficients(
    options: Options, *, sparse: bool, further: tuple[Coefficient, ...] = ()
) -> tuple[Coefficient, ...]:
    """The coefficients of a method on deltas; ``further`` are those that say more about what is kept.

    With ``normalise: weight`` the weights' scale cancels: they are proportions, and lambda is searched. Otherwise the
    weights set the scale, and lambda would say the same twice.
    """
    simplex = options["normalise"] == "weight"
    return (weight(simplex=simplex), *((density(),) if sparse else ()), *further, scale(searched=simplex))


def delta_starts(
    n_models: int, options: Options, *, sparse: bool, elects: bool, further: tuple[Coefficient, ...] = ()
) -> Starts:
    """Starting points of a method on deltas, all at density 1 and with neutral ``further`` coefficients.

    ``uniform`` adds the mean delta and ``task_arithmetic:v`` adds v times every delta, exactly for methods without
    election. With election, where opposing elements are left out, they are the nearest points: with normalised or
    counted sums, v is lambda, which is what an element gets that only one model has.
    """
    even = (1 / n_models,) * n_models
    counted = elects and options["normalise"] == "count"
    proportions = options["normalise"] == "weight"

    def point(weights: tuple[float, ...], lambda_: float = 1.0) -> Coefficients:
        values: dict[str, float | tuple[float, ...]] = {"weight": weights, "lambda": lambda_}
        values |= {c.name: (c.neutral,) * n_models if c.per_model else c.neutral for c in further}
        return {**values, "density": (1.0,) * n_models} if sparse else values

    points = {"uniform": point((1.0,) * n_models if counted else even)}
    points |= {f"model:{i}": point(alone(i, n_models)) for i in range(n_models)}
    for value in (0.3, 0.5, 0.7):
        if not proportions:
            points[f"task_arithmetic:{value}"] = point((value,) * n_models)
        else:
            points[f"task_arithmetic:{value}"] = point(even, value if elects else value * n_models)
    return points


def delta_mergekit(options: Options) -> Mapping[str, Any] | None:
    """Mergekit's parameters for a method on deltas, or None where it computes something else.

    mergekit always takes each tensor by itself, keeps an exact number of elements, lets weighted deltas vote, takes
    plus on a tie, divides by weights or not at all, and rescales to the same sum of absolute values or not at all.
    """
    same = {"scope": "tensor", "kept": "exact", "votes": "weighted", "tie": "positive"}
    if any(options.get(name, value) != value for name, value in same.items()):
        return None
    if options["normalise"] == "count" or options.get("rescale") == "inverse":
        return None
    rescale = {"rescale": options["rescale"] == "l1"} if "rescale" in options else {}
    return {"normalize": options["normalise"] == "weight", **rescale}
