"""Reasons why the coefficients of a recipe are not those that its method, or a step after the merge, takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from evomerge.errors import suggest
from evomerge.recipe import Coefficient, ParameterGroups

if TYPE_CHECKING:
    import numpy as np


def coefficient_problems(
    declared: Sequence[Coefficient], given: Mapping[str, np.ndarray], groups: ParameterGroups
) -> list[str]:
    """Coefficients that are unknown, missing, of the wrong shape or out of range, one sentence each.

    Args:
        declared: The coefficients that are taken.
        given: Name to values, ``(groups, slots)`` or ``(groups,)``.
        groups: The recipe's groups; values of frozen ones may be any.
    """
    names = {coefficient.name: coefficient for coefficient in declared}
    problems = [
        f"there is no coefficient {name!r}{suggest(name, names)} (there are {', '.join(names) or 'none'})"
        for name in given
        if name not in names
    ]
    live = [row for row, group in enumerate(groups.groups) if not group.frozen]
    for name, coefficient in names.items():
        values = given.get(name)
        if values is None:
            problems.append(f"the recipe has no values for coefficient {name!r}")
            continue
        if (values.ndim == 2) != coefficient.per_model:
            wanted = "one value per group and model" if coefficient.per_model else "one value per group"
            problems.append(f"coefficient {name!r} has shape {values.shape}; expected {wanted}")
            continue
        values = values[live]
        if coefficient.minimum is not None and (values < coefficient.minimum).any():
            problems.append(f"coefficient {name!r} goes down to {values.min():g}, below {coefficient.minimum:g}")
        if coefficient.maximum is not None and (values > coefficient.maximum).any():
            problems.append(f"coefficient {name!r} goes up to {values.max():g}, above {coefficient.maximum:g}")
        if coefficient.simplex and not all(_has_shares(coefficient, row) for row in values):
            problems.append(f"coefficient {name!r} sums to zero or less over the models of a group")
    return problems


def _has_shares(coefficient: Coefficient, row: np.ndarray) -> bool:
    """Whether the proportions of a group are some. Negative ones may add up to anything: what agrees counts."""
    return bool(row.sum() > 0 if coefficient.minimum == 0 else row.any())
