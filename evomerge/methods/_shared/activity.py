"""Elements that a model changed by more than a threshold, alone or together with others: what RAM goes by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from evomerge.kernels import Finite
from evomerge.methods._shared.coefficients import per_model, shared
from evomerge.methods._shared.elementwise import add_update, taking_part
from evomerge.methods._shared.inputs import Coefficients, TensorSources
from evomerge.options import Option

EPSILON = Option(1e-5, None, float, "elements of a delta whose magnitude is above this count as changed", low=0.0)


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
    epsilon, factor = sources.options["epsilon"], shared(coefficients["lambda"])

    def update(deltas: list[torch.Tensor]) -> torch.Tensor:
        active = [delta.abs() > epsilon for delta in deltas]
        count = counted(active)
        unique, total = count == 1, torch.zeros_like(deltas[0])
        for model, delta, own in zip(models, deltas, active, strict=True):
            # Multiplied, not selected: what is not finite must reach the result.
            kept = delta.mul_(own).mul_(weights[model])
            if alone is not None and alone[model] != 1.0:
                kept.mul_(torch.where(unique, alone[model], 1.0))
            total.add_(kept)
        return total.div_(count.clamp_(min=1.0)).mul_(factor)

    add_update(sources, models, update, out)
    return None


def counted(active: Sequence[torch.Tensor]) -> torch.Tensor:
    """How many models changed each element, float32."""
    count = active[0].to(torch.float32)
    for own in active[1:]:
        count.add_(own)
    return count
