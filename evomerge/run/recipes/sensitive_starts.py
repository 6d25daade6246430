"""Starts that weigh experts layer by layer by their sensitivities, as Sens-Merging does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from evomerge.genome import GenomeSpec, NotExpressible
from evomerge.methods import MergeMethod
from evomerge.recipe import Coefficient, values_of, with_values
from evomerge.run.recipes.starts import Point, at_shares

__all__ = ["Shares", "by_sensitivities", "group_of"]

Shares = Sequence[Mapping[str, Sequence[float]]]
"""Of each temperature, by group the shares of the experts, which add up to 1; see `group_of`."""


def group_of(spec: GenomeSpec, name: str) -> str:
    """The group of a tensor whose sensitivity is measured: its layer, or outside of the layers its module kind."""
    place = spec.template.groups.place(name)
    return place.kind if place.layer is None else f"layer {place.layer}"


def by_sensitivities(
    spec: GenomeSpec,
    method: MergeMethod,
    names: Sequence[str],
    shares: Shares,
) -> NDArray[np.float64]:
    """The starts of some temperatures.

    Where models have free weights, as in task arithmetic, an expert's is as it is alone, times its share and the number
    of experts: equal shares are the sum of all deltas. Elsewhere it is as `at_shares` says.

    Args:
        spec: The search space.
        method: Its method.
        names: Names of the tensors that are merged.
        shares: Of each temperature.

    Returns:
        ``(k, n_var)``; without those that the space does not hold, and none where the method weighs no models.
    """
    options, count = method.resolve(spec.template.options), len(spec.template.sources)
    if "model:0" not in method.starts(count, options):
        return np.zeros((0, spec.n_var))
    members: dict[int, set[str]] = {}
    for name in names:
        members.setdefault(spec.template.groups.index(name), set()).add(group_of(spec, name))
    rows = []
    for own in shares:
        values = {name: array.copy() for name, array in spec.constants.items()}
        for index, groups in members.items():
            mean = np.mean([own[group] for group in sorted(groups)], axis=0)
            found = values_of(spec.recipe(_point(method, options, mean.tolist())))
            for name, array in found.items():
                values[name][index] = array[index]
        try:
            rows.append(spec.encode(with_values(spec.template, values)))
        except NotExpressible:
            continue
    return np.array(rows).reshape(len(rows), spec.n_var)


def _point(method: MergeMethod, options: Mapping[str, object], shares: Sequence[float]) -> Point:
    """Coefficients of one group."""
    count = len(shares)
    singles = [method.starts(count, options)[f"model:{i}"] for i in range(count)]
    found = dict(at_shares(method, options, shares))
    for one in method.coefficients(options):
        if one.per_model and one.off is not None:
            alone = [_values(single[one.name], count)[place] for place, single in enumerate(singles)]
            found[one.name] = _free(one, alone, shares)
    return found


def _free(coefficient: Coefficient, alone: Sequence[float], shares: Sequence[float]) -> tuple[float, ...]:
    off, count = coefficient.off or 0.0, len(shares)
    values = [off + count * share * (own - off) for own, share in zip(alone, shares, strict=True)]
    return tuple(float(np.clip(value, coefficient.low, coefficient.high)) for value in values)


def _values(value: float | Sequence[float], count: int) -> Sequence[float]:
    return (value,) * count if isinstance(value, float | int) else value
