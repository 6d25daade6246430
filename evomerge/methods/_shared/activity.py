"""Elements that a model changed by more than a threshold, alone or together with others: what RAM goes by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from evomerge.kernels import Finite
from evomerge.methods._shared.coefficients import per_model, shared
from evomerge.methods._shared.elementwise import add_update, summed, taking_part, weighted
from evomerge.methods._shared.inputs import Coefficients, TensorSources
from evomerge.methods._shared.mergekit import MergekitParameters
from evomerge.options import Option

EPSILON = Option(1e-5, None, float, "elements of a delta whose magnitude is above this count as changed", low=0.0)
EPSILON_PARAMETER = MergekitParameters(
    defaults={"epsilon": EPSILON.default},
    read=lambda parameters: {"epsilon": parameters["epsilon"]},
    lacks=("weight", "lambda"),
    untouched=lambda n_models, has_base: {"weight": (0.0,) * n_models},
)
"""Mergekit's only parameter of ``ram`` and ``ramplus_tl`` that is an option here."""


def add_active(
    sources: TensorSources, coefficients: Coefficients, alone: Mapping[int, float] | None, out: torch.Tensor
) -> Finite | None:
    """Writes the base plus lambda times what each model changed alone, and the average of what several changed.

    Args:
        sources: The tensors; the option ``epsilon``.
        coefficients: ``weight`` and ``lambda``. Models of weight 0 take no part.
        alone: Factors of what each model changed alone; None is 1 for all.
        out: Memory of the tensor's shape.
    """
    models, weights = taking_part(coefficients), per_model(coefficients["weight"])
    epsilon = sources.options["epsilon"]

    def update(deltas: list[torch.Tensor]) -> torch.Tensor:
        kept = [changed(delta, epsilon) for delta in deltas]
        count = counted(kept)
        if alone is not None:
            unique = count.clone().eq_(1.0)
            for model, delta in zip(models, kept, strict=True):
                if alone[model] != 1:
                    delta.mul_(unique.mul(alone[model] - 1).add_(1.0))
        return summed(weighted(kept, models, weights)).div_(count.clamp_(min=1.0))

    add_update(sources, models, update, out, scale=shared(coefficients["lambda"]))
    return None


def changed(delta: torch.Tensor, epsilon: float) -> torch.Tensor:
    """A delta where it is above the threshold, and zero elsewhere; NaN stays."""
    return torch.nn.functional.hardshrink(delta, epsilon)


def counted(kept: Sequence[torch.Tensor]) -> torch.Tensor:
    """How many models changed each element, float32."""
    return summed([own.clone().ne_(0.0) for own in kept])
