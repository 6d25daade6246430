"""The weighted sums of a search's models, for searchers that move in the space of weights."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evomerge import methods
from evomerge.checkpoints import inner_products
from evomerge.errors import InputError
from evomerge.genome import GenomeSettings, GenomeSpec
from evomerge.merging import Checkpoints
from evomerge.recipe import MODULE_KINDS, ModelRef, Recipe, stands_before, with_values
from evomerge.run.likeness import comparable
from evomerge.run.recipes.space import build_spec
from evomerge.run.run_config import RunConfig
from evomerge.search import ModelSpan

__all__ = ["SUMMED", "model_span"]

SUMMED = "linear"
"""The method whose searches may be over weighted sums."""


def model_span(config: RunConfig, spec: GenomeSpec, checkpoints: Checkpoints, models: Sequence[ModelRef]) -> ModelSpan:
    """The weighted sums of models, in as many parts as there are layers with attention, MLP and others.

    Args:
        config: The search, whose method is `SUMMED`.
        spec: Its space, which says what is frozen.
        checkpoints: Its opened checkpoints.
        models: The models, in the order of their weights.

    Raises:
        InputError: If values are fixed, or what is frozen is no whole part.
    """
    settings = GenomeSettings(
        depth="layer", split_kinds=True, own_groups=tuple(k for k in config.genome.own_groups if k == "tower"),
        frozen=config.genome.frozen,
    )  # fmt: skip
    own = replace(config, genome=settings, method_options={"normalise": "none"})
    fine = build_spec(own, checkpoints, methods.load(SUMMED), None)
    if problems := _problems(config, spec, fine):
        raise InputError(problems)
    rows = _by_depth(fine)
    first, *others = (checkpoints[ref] for ref in models)
    shared = comparable(checkpoints, first, others)[0]
    names = [name for name in shared if not fine.groups[fine.members[name]].frozen]
    sizes = np.zeros(len(fine.groups))
    for name in names:
        sizes[fine.members[name]] += first.specs[name].numel

    @functools.cache
    def products() -> NDArray[np.float64]:
        found = np.zeros((len(fine.groups), len(models), len(models)))
        for name, own in inner_products([first, *others], names):
            found[fine.members[name]] += own
        return found[rows]

    def make(weights: NDArray[np.float64]) -> Recipe:
        placed = np.full((len(fine.groups), len(models)), 1.0 / len(models))  # what is frozen has no use for it
        placed[rows] = weights
        return with_values(replace(fine.template, sources=tuple(models)), {"weight": placed})

    return ModelSpan(sizes[rows], products, make)


def _problems(config: RunConfig, spec: GenomeSpec, fine: GenomeSpec) -> list[str]:
    """Why the search cannot be over parts of the model."""
    if config.genome.fixed:
        return [
            f"genome.fixed: searcher {config.searcher.name} takes weights from those of two parents, and none can be "
            "fixed; leave it out"
        ]
    if {name for name, row in spec.members.items() if spec.groups[row].frozen} != {
        name for name, row in fine.members.items() if fine.groups[row].frozen
    }:
        labels = [group.label for group in fine.groups if group.layers == (0, 1) or group.layers is None]
        return [
            "genome.frozen: names groups of another layout than the parts of the model that searcher "
            f"{config.searcher.name} goes over; name module kinds ({', '.join(MODULE_KINDS)}) or such parts "
            f"({', '.join(labels)})"
        ]
    return []


def _by_depth(spec: GenomeSpec) -> list[int]:
    """The groups that are not frozen in the order of depth: before the layers, layer after layer, after them."""
    place: dict[int, tuple[int, int, int]] = {}
    for name, row in spec.members.items():
        if spec.groups[row].frozen:
            continue
        at = spec.template.groups.place(name)
        where = 1 if spec.groups[row].layers else 0 if stands_before(at, name) else 2
        place.setdefault(row, (where, (spec.groups[row].layers or (0,))[0], row))
    return sorted(place, key=place.__getitem__)
