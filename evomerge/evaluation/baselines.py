"""Names of the baselines: base, every expert alone, the uniform average, and task arithmetic with one scale for all."""

from __future__ import annotations

from collections.abc import Sequence

BASE, UNIFORM, EXPERT, SCALED = "base", "uniform", "expert:", "scaled:"


def expert_names(labels: Sequence[str]) -> tuple[str, ...]:
    """The baseline names of experts, ``expert:LABEL``; where labels are equal, with the position: ``expert:LABEL#1``.

    Args:
        labels: The experts' short names, in the order of the models.
    """
    return tuple(
        f"{EXPERT}{label}" if labels.count(label) == 1 else f"{EXPERT}{label}#{position}"
        for position, label in enumerate(labels)
    )
