"""Search spaces whose weights follow a rule: their layout, their genes, and what they need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evomerge.genome.groups import BEFORE
from evomerge.genome.layer_swap import LayerSwap
from evomerge.genome.settings import AUTO, WEIGHT, GenomeSettings
from evomerge.genome.weight_rules import FREE, Metric, Rule, RuledBlock, Trajectory
from evomerge.recipe import Coefficient, ParameterGroups, Recipe

__all__ = ["follows_rule", "laid_out_by_rule", "rule_problems", "ruled"]

_SWAP = "layer_swap"


def laid_out_by_rule(settings: GenomeSettings, declared: Mapping[str, Coefficient]) -> GenomeSettings:
    """Settings with the groups that the rule fills.

    Swapped layers are groups by themselves, and what is in no layer goes with the first or the last; the method's other
    coefficients are then one for the whole model, as far as the user has not said otherwise.
    """
    if settings.weights != _SWAP:
        return settings
    others = tuple(name for name in declared if name not in (WEIGHT, *settings.shared))
    shared = (*settings.shared, *others)
    return replace(settings, depth="layer", own_groups=(), ends="nearest", shared=shared)


def follows_rule(settings: GenomeSettings, coefficient: Coefficient) -> bool:
    """Whether the values of a coefficient follow the rule of the settings."""
    return settings.weights != FREE and coefficient.name == WEIGHT


def ruled(settings: GenomeSettings, plan: Recipe, pinned: NDArray[np.bool_]) -> tuple[RuledBlock, ...]:
    """The genes of the weights on all groups that are neither frozen nor fixed.

    Args:
        settings: Whose weights follow a rule.
        plan: The recipe without coefficients.
        pinned: Mask over groups: where the user fixed the weights.
    """
    rows = [row for row, group in enumerate(plan.groups.groups) if not (group.frozen or pinned[row])]
    places = [0] * len(rows) if settings.weights != _SWAP else list(_layers(plan.groups))
    own = places if settings.weights != _SWAP else [places[row] for row in rows]
    rule = _rule(settings, len(plan.sources), _count(plan.groups))
    return (RuledBlock(WEIGHT, rule, tuple(rows), tuple(own)),) if rows else ()


def rule_problems(
    settings: GenomeSettings, template: Recipe, declared: Mapping[str, Coefficient], groups: ParameterGroups
) -> Iterator[str]:
    """Why the weights of these models cannot follow the rule, one sentence each."""
    if settings.weights == FREE:
        return
    rule, models = f"genome.weights={settings.weights}", len(template.sources)
    if WEIGHT not in declared or not declared[WEIGHT].per_model:
        yield f"{rule} gives a weight to each model, and {template.method} takes none; choose linear or task_arithmetic"
    if settings.weights == _SWAP and models != 2:
        yield f"{rule} takes the middle from the first and the ends from the second of 2 models; there are {models}"
    if settings.weights == _SWAP and not _count(groups):
        yield f"{rule} needs layers, but the tensor names show none; check the layer pattern"
    if settings.weights == _SWAP and settings.depth not in (AUTO, "layer", "model"):
        yield f"{rule} has a group for each layer, so genome.depth={settings.depth} has no meaning; leave it out"
    if settings.weights == _SWAP and settings.own_groups not in ((), GenomeSettings().own_groups):
        yield f"{rule} gives what is in no layer to the first and last layers; leave genome.own_groups out"
    if settings.weights == "metric" and len(settings.metrics) != models:
        yield f"{rule} needs a score of each model: genome.metrics has {len(settings.metrics)} for {models} models"
    if models < 2:
        yield f"{rule} needs at least 2 models; there is {models}"


def _rule(settings: GenomeSettings, models: int, layers: int) -> Rule:
    if settings.weights == _SWAP:
        return LayerSwap(layers)
    return Metric(settings.metrics) if settings.weights == "metric" else Trajectory(models, settings.averaging)


def _count(groups: ParameterGroups) -> int:
    """Number of layers that have groups."""
    return len({group.layers for group in groups.groups if group.layers is not None})


def _layers(groups: ParameterGroups) -> Iterator[int]:
    """The place of each group among the layers; of what is in none, that of the first or the last."""
    firsts = sorted({group.layers[0] for group in groups.groups if group.layers is not None})
    for group in groups.groups:
        if group.layers is not None:
            yield firsts.index(group.layers[0])
        else:
            yield 0 if group.label.startswith(BEFORE) or not firsts else len(firsts) - 1
