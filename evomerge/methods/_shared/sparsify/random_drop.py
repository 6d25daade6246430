"""Keeps random elements of deltas: drop and rescale (DARE)."""

from __future__ import annotations

from evomerge.errors import InputError
from evomerge.kernels import BernoulliMask
from evomerge.methods._shared.coefficients import per_model
from evomerge.methods._shared.inputs import Coefficients, TensorContext, TensorSources


def random_key_of(context: TensorContext, sources: TensorSources, model: int) -> int:
    """The random key of one model's delta."""
    if len(context.keys) != len(sources.models):
        found, wanted = len(context.keys), len(sources.models)
        raise InputError(f"tensor {context.name!r} has {found} random keys for {wanted} models")
    return context.keys[model]


def drop(
    context: TensorContext, sources: TensorSources, coefficients: Coefficients, model: int
) -> BernoulliMask | None:
    """Keeps each element with probability ``density``, by noise that belongs to (key, index) alone."""
    density = per_model(coefficients["density"])[model]
    key = random_key_of(context, sources, model)
    return None if density >= 1 else BernoulliMask(key, density)
