"""Coefficients and starting points that several methods share: one word for one thing."""

from __future__ import annotations

import math
from dataclasses import replace

from evomerge.errors import InputError
from evomerge.methods._shared.inputs import Coefficients, Options, Starts
from evomerge.recipe import Coefficient

# Below this, 1 / density and int(density * elements) mean nothing for any model.
MIN_DENSITY = 1e-6


def weight(*, simplex: bool, high: float = 1.5, signed: bool = False) -> Coefficient:
    """The weight of each model: only proportions matter on a simplex, else any sign is allowed.

    Args:
        simplex: Whether only proportions matter.
        high: Upper default bound of the search, for others.
        signed: Whether proportions may be negative where somebody writes them down; a search stays at shares of 1.
    """
    if simplex:
        minimum = None if signed else 0.0
        return Coefficient("weight", 0.0, 1.0, 1.0, simplex=True, minimum=minimum, doc="proportion of each model")
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


def proportions(method: str, tensor: str, weights: tuple[float, ...]) -> tuple[float, ...]:
    """Weights as shares of one.

    Raises:
        InputError: If they sum to zero.
    """
    divisor = math.fsum(weights)
    if divisor == 0:
        raise InputError(f"{method}: the weights of tensor {tensor!r} sum to zero, so they have no average")
    return tuple(value / divisor for value in weights)


def shared(value: float | tuple[float, ...]) -> float:
    """A shared coefficient's value."""
    if isinstance(value, tuple):
        raise TypeError(f"expected one value for all models, got {value!r}")
    return value


def alone(model: int, n_models: int) -> tuple[float, ...]:
    """Weights that leave one model."""
    return tuple(float(i == model) for i in range(n_models))


def model_starts(n_models: int, options: Options) -> Starts:
    """Starting points of a method whose only coefficient is the weight: all models alike, and every model alone."""
    return {"uniform": {"weight": (1 / n_models,) * n_models}} | {
        f"model:{i}": {"weight": alone(i, n_models)} for i in range(n_models)
    }


def delta_coefficients(
    options: Options, *, sparse: bool, further: tuple[Coefficient, ...] = ()
) -> tuple[Coefficient, ...]:
    """The coefficients of a method on deltas; ``further`` are those that say more about what is kept.

    With ``normalise: weight`` the weights' scale cancels: they are proportions, and lambda is searched. Otherwise the
    weights set the scale, and lambda would say the same twice.
    """
    simplex = options["normalise"] == "weight"
    # What agrees on a sign is divided by its own weights, whatever their sum.
    own = replace(weight(simplex=simplex, signed="votes" in options), off=None if simplex else 0.0)
    return (own, *((density(),) if sparse else ()), *further, scale(searched=simplex))


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
