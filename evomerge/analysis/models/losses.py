"""Weights of models from their losses on a few examples of a task."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evomerge.errors import InputError

__all__ = ["loss_weights"]


def loss_weights(
    losses: Sequence[float], temperature: float = 5.0, *, target: int | None = None, share: float = 0.5
) -> tuple[float, ...]:
    """Weights of LM-Cocktail, ``softmax(-loss / temperature)`` (Xiao et al. 2024, https://arxiv.org/abs/2311.13534).

    They are the weights of a weighted average of the models (method ``linear``), or of its starting point. The losses
    are one mean loss per model on the same few examples of the wanted task; the paper takes five, and gives a model
    that was fine-tuned for the task half of the weight (``target``).

    Args:
        losses: One loss per model, in nats per token or in any unit that the temperature is in.
        temperature: Above zero: towards zero the model of least loss gets all of the weight, towards infinity all
            weigh the same. The authors' code has 5.
        target: Position of a model whose weight is given rather than computed; None is none.
        share: The weight of that model; the others share the rest.

    Returns:
        One weight per model; they sum to 1.

    Raises:
        InputError: If there is no loss, one that is not finite, no such target, or a number out of bounds.
    """
    values = np.asarray(losses, dtype=np.float64)
    _check(values, temperature, target, share)
    others = np.arange(len(values)) != (-1 if target is None else target)
    with np.errstate(over="ignore", under="ignore"):  # far from the least loss there is no weight
        odds = np.exp((values[others].min() - values[others]) / temperature)
    weights = np.full(len(values), share)
    weights[others] = odds / odds.sum() * (1.0 if target is None else 1.0 - share)
    return tuple(weights.tolist())


def _check(losses: np.ndarray, temperature: float, target: int | None, share: float) -> None:
    """Refuses what has no weights."""
    if losses.ndim != 1 or not len(losses) or not np.isfinite(losses).all():
        given = losses.tolist()
        raise InputError(f"losses: expected one finite number per model, got {given}; leave out models that failed")
    if not 0.0 < temperature < np.inf:
        raise InputError(f"temperature: expected a number above 0, got {temperature!r}; the authors' code has 5")
    if target is None:
        return
    if not 0 <= target < len(losses) or len(losses) < 2:
        count = len(losses)
        raise InputError(f"target: expected the position of one of at least two models, got {target!r} of {count}")
    if not 0.0 <= share <= 1.0:
        raise InputError(f"share: expected a number from 0 to 1, got {share!r}")
