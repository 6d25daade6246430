"""Descent of a merged delta: optimisers without state outside their call, and the options of methods that use them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from evomerge.methods._shared.inputs import Options
from evomerge.methods._shared.interference.objective import Objective
from evomerge.methods._shared.matrices import MatrixDeltas
from evomerge.options import Option

START = Option(
    "sum", ("sum", "mean", "zero"), str, "the merged delta that the descent starts from: sum or mean of deltas, or zero"
)
OPTIMISER = Option(
    "adam", ("adam", "sgd"), str, "adam, step by step; or gradient descent with momentum, whose end has a closed form"
)
STEPS = Option(300, None, int, "number of steps of the descent", low=0)
LEARNING_RATE = Option(1e-5, None, float, "learning rate of the descent", low=0.0)
MOMENTUM = Option(0.9, None, float, "momentum of gradient descent (sgd)", low=0.0, high=1.0)
DESCENT_OPTIONS: Mapping[str, Option] = {
    "start": START,
    "optimiser": OPTIMISER,
    "steps": STEPS,
    "learning_rate": LEARNING_RATE,
    "momentum": MOMENTUM,
}
_BETAS, _EPS = (0.9, 0.999), 1e-8


def start_factor(options: Options, n_models: int) -> float:
    """The start as a multiple of the sum of the deltas."""
    return {"sum": 1.0, "mean": 1 / n_models, "zero": 0.0}[options["start"]]


def adam(
    gradient: Callable[[torch.Tensor], torch.Tensor], start: torch.Tensor, steps: int, learning_rate: float
) -> torch.Tensor:
    """The end of Adam (Kingma & Ba 2015) with its usual constants, in the dtype of its start.

    Args:
        gradient: Gives the gradient at a point, as new memory.
        start: The first point; not written to.
        steps: Number of steps.
        learning_rate: Step size.
    """
    point, first, second = start.clone(), torch.zeros_like(start), torch.zeros_like(start)
    (beta1, beta2), divisor = _BETAS, torch.empty_like(start)
    for step in range(1, steps + 1):
        slope = gradient(point)
        first.lerp_(slope, 1 - beta1)
        second.mul_(beta2).addcmul_(slope, slope, value=1 - beta2)
        torch.sqrt(second, out=divisor).div_((1 - beta2**step) ** 0.5).add_(_EPS)
        point.addcdiv_(first, divisor, value=-learning_rate / (1 - beta1**step))
    return point


def sgd_weights(
    values: torch.Tensor, steps: int, learning_rate: float, momentum: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights of the start and of the pull at the end of gradient descent with momentum on a quadratic.

    Along an eigenvector of the curvature the descent is a recurrence of one number; it is linear, so its end is a
    weighted sum of start and pull that depends on the eigenvalue alone.

    Args:
        values: Eigenvalues of the curvature, any shape.
        steps: Number of steps.
        learning_rate: Step size.
        momentum: Share of the last step's direction that is kept.
    """
    of_start, of_pull = torch.ones_like(values), torch.zeros_like(values)
    for point, pull in ((of_start, 0.0), (of_pull, 1.0)):
        direction = torch.zeros_like(values)
        for _ in range(steps):
            direction.mul_(momentum).add_(values * point - pull, alpha=2.0)
            point.sub_(direction, alpha=learning_rate)
    return of_start, of_pull


def descend(objective: Objective, deltas: MatrixDeltas, options: Options) -> torch.Tensor:
    """The merged delta at which a descent ends, ``(out, in)``, float32."""
    sum_factor = start_factor(options, len(deltas.models))
    if options["optimiser"] == "adam":
        curvature, pull = (2 * own for own in objective.full(deltas))
        curvature, pull, start = curvature.float(), pull.float(), (sum_factor * deltas.total()).float()
        return adam(lambda point: point @ curvature - pull, start, options["steps"], options["learning_rate"])
    values, vectors = objective.eigen()
    start = sum_factor * deltas.total()
    of_start, of_pull = sgd_weights(values, options["steps"], options["learning_rate"], options["momentum"])
    change = (start @ vectors) * (of_start - 1) + objective.pull(deltas, vectors) * of_pull
    return (start + change @ vectors.t()).float()
