"""From settings, a method's declaration and a model's tensor names to the search space."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import InputError, suggest
from evomerge.genome import curves
from evomerge.genome.gene_block import Block, GeneBlock
from evomerge.genome.groups import DepthProfile, grouped, matching, own_kinds
from evomerge.genome.layers.depth import depth_of
from evomerge.genome.model_facts import ModelFacts
from evomerge.genome.ruled import follows_rule, laid_out_by_rule, rule_problems, ruled
from evomerge.genome.settings import SEARCHED, GenomeSettings
from evomerge.genome.spec import GenomeSpec, is_number, spread
from evomerge.genome.switches import SwitchedBlock, joined, switches
from evomerge.recipe import MODULE_KINDS, Coefficient, Group, ParameterGroups, Recipe, source_labels, without_values

__all__ = ["bound_problems", "build"]


def build(
    settings: GenomeSettings,
    declared: Sequence[Coefficient],
    template: Recipe,
    names: Sequence[str],
    *,
    symmetric: bool = True,
    models: ModelFacts | None = None,
) -> GenomeSpec:
    """Builds the search space.

    Args:
        settings: The user's choices.
        declared: The coefficients of the method, and of steps after the merge.
        template: The recipe but for coefficients and groups; of these it has the patterns that sort tensor names.
        names: The tensors of the model.
        symmetric: Whether the method takes models in any order, if their coefficients go with them.
        models: What is known of the models. Groups in which no model differs from the base are frozen.

    Returns:
        The space.

    Raises:
        InputError: listing every problem of the settings, or a tensor name that no pattern knows.
    """
    coefficients = {coefficient.name: coefficient for coefficient in declared}
    written, settings = settings, laid_out_by_rule(settings, coefficients)
    if problems := [*settings.problems(), *bound_problems(settings, coefficients)]:
        raise InputError([*problems, *_unknown(settings, coefficients)])
    groups, profiles = grouped(settings, template.groups, names)
    facts = models or ModelFacts()
    known = facts.changed or [None] * len(template.sources)
    rows = [None if own is None else frozenset(map(groups.index, own)) for own in known]
    groups = _without_idle(groups, rows)
    plan = without_values(replace(template, groups=groups))
    depth, misshapen = depth_of(settings, plan, names, facts.depths)
    problems = [
        *_unknown(settings, coefficients),
        *(_layer_problems(settings, profiles) if settings.merges else ()),
        *_pattern_problems(settings, [group.label for group in groups.groups]),
        *_module_problems(settings, template.method, declared),
        *rule_problems(written, template, coefficients, groups),
        *misshapen,
    ]
    constants, pinned, fix_problems = _fixed(settings, coefficients, groups.groups, len(plan.sources))
    if problems or fix_problems:
        raise InputError([*problems, *fix_problems])
    more = {*settings.bounds, *settings.shared}
    searched = [c for c in declared if settings.merges and (c.searched or c.name in more)]
    by_layer = joined(profiles, groups.groups) if settings.modules == SEARCHED and not _split(settings) else profiles
    gene_blocks: list[Block] = []
    for c in searched:
        own = [block for block in _gene_blocks(settings, c, plan, by_layer, pinned[c.name]) if block.n_genes]
        if settings.modules == SEARCHED and c.off is not None and own:
            there = sorted(row for block in own for row in block.rows)
            on = tuple(switches(c, groups.groups, there, _owners(c, plan), rows))
            gene_blocks += [SwitchedBlock(tuple(own), on, c.off)]
        else:
            gene_blocks += ruled(settings, plan, pinned[c.name]) if follows_rule(settings, c) else own
    if not gene_blocks and depth is None:
        raise InputError("there is nothing to search: every group is frozen or fixed, or one model is merged alone")
    members = {name: groups.index(name) for name in names}
    return GenomeSpec(plan, coefficients, tuple(gene_blocks), constants, pinned, members, symmetric, depth)


def _without_idle(groups: ParameterGroups, changed: Sequence[frozenset[int] | None]) -> ParameterGroups:
    """The groups, those frozen in which no model differs from the base: no coefficient has an effect there."""
    known = [own for own in changed if own is not None]
    if not known or len(known) < len(changed):
        return groups
    live = frozenset().union(*known)
    found = tuple(replace(group, frozen=group.frozen or row not in live) for row, group in enumerate(groups.groups))
    return replace(groups, groups=found)


def _split(settings: GenomeSettings) -> bool:
    """Whether the parts of a layer have coefficients of their own."""
    return settings.split_kinds or bool(settings.filters)


def _module_problems(settings: GenomeSettings, method: str, declared: Sequence[Coefficient]) -> Iterator[str]:
    if settings.modules != SEARCHED or any(c.off is not None and c.per_model and not c.simplex for c in declared):
        return
    shares = [c.name for c in declared if c.simplex]
    why = (
        f"its {shares[0]} is a share of 1 among the models, so that what one loses goes to the others; choose a method "
        "on deltas and method_options.normalise=none, or count where it has that"
        if shares
        else "it has no weight at which an expert's delta has no effect; choose a method on deltas, such as "
        "task_arithmetic or ties"
    )
    yield f"genome.modules=searched switches experts off by kind of modules, which {method} cannot: {why}"


def _unknown(settings: GenomeSettings, declared: Mapping[str, Coefficient]) -> Iterator[str]:
    """Coefficients that the method does not have."""
    named = [("bounds", name) for name in settings.bounds] + [("shared", name) for name in settings.shared]
    named += [(f"fixed.{label}", name) for label, values in settings.fixed.items() for name in values]
    for where, name in named:
        if name not in declared:
            known = ", ".join(declared)
            yield f"genome.{where} names the coefficient {name!r}; the method has {known}{suggest(name, declared)}"


def bound_problems(settings: GenomeSettings, declared: Mapping[str, Coefficient]) -> Iterator[str]:
    """Bounds that are no bounds, or that the method does not take."""
    for name, ends in settings.bounds.items():
        where = f"genome.bounds.{name} is {list(ends) if isinstance(ends, Sequence) else ends!r}"
        numbers = isinstance(ends, Sequence) and all(map(is_number, ends))
        if not numbers or len(ends) != 2 or not ends[0] < ends[1]:
            yield f"{where}; expected [low, high]: two numbers, the smaller first"
            continue
        coefficient = declared.get(name)
        if coefficient is None:
            continue
        if coefficient.simplex and (ends[0], ends[1]) != (0.0, 1.0):
            yield (
                f"{where}, but only the proportions of {name} between the models matter here: they are searched as "
                f"shares of 1 and have no bounds; for bounds or negative values choose a method or an option that does "
                f"not normalise {name}"
            )
        below = coefficient.minimum is not None and ends[0] < coefficient.minimum
        above = coefficient.maximum is not None and ends[1] > coefficient.maximum
        if below or above:
            yield f"{where}; the method takes values of {_limits(coefficient)}"


def _limits(coefficient: Coefficient) -> str:
    low = "-inf" if coefficient.minimum is None else f"{coefficient.minimum:g}"
    high = "inf" if coefficient.maximum is None else f"{coefficient.maximum:g}"
    return f"{coefficient.name} between {low} and {high}"


def _layer_problems(settings: GenomeSettings, profiles: Sequence[DepthProfile]) -> Iterator[str]:
    if settings.depth not in ("linear", "smooth"):
        return
    wanted = 2 if settings.depth == "linear" else settings.control_points
    longest = max((profile.layers for profile in profiles if profile.curve), default=0)
    if settings.depth == "smooth" and settings.control_every is not None:
        wanted = 1
    if longest < wanted:
        yield (
            f"genome.depth={settings.depth} needs {wanted} control values, but the tensor names show only {longest} "
            f"layers to spread them over; use genome.depth=layer{'' if longest else ' or check the layer pattern'}"
        )


def _pattern_problems(settings: GenomeSettings, labels: Sequence[str]) -> Iterator[str]:
    shown = ", ".join(labels[:6]) + (", ..." if len(labels) > 6 else "")
    patterns = [("frozen", pattern) for pattern in settings.frozen] + [("fixed", pattern) for pattern in settings.fixed]
    for where, pattern in patterns:
        if matching(pattern, labels):
            continue
        if pattern not in MODULE_KINDS:
            yield (
                f"genome.{where} names {pattern!r}, which is no module kind and matches no group; the groups "
                f"are {shown}{suggest(pattern, [*labels, *MODULE_KINDS])}"
            )
        elif pattern not in own_kinds(settings):  # of a kind that would be a group, the model has no tensor
            yield (
                f"genome.{where} names the module kind {pattern!r}, which is no group of its own here; add it to "
                f"genome.own_groups, or name groups, of which there are {shown}"
            )


def _fixed(
    settings: GenomeSettings, declared: Mapping[str, Coefficient], groups: Sequence[Group], models: int
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.bool_]], list[str]]:
    """Neutral values with the user's fixed ones in place, the mask of those places, and what is wrong with them."""
    labels = [group.label for group in groups]
    constants = {name: np.array([_neutral(c, models)] * len(groups)) for name, c in declared.items()}
    pinned = {name: np.zeros(len(groups), dtype=bool) for name in declared}
    problems = []
    for pattern, values in settings.fixed.items():
        for name, value in values.items():
            if name not in declared:
                continue
            try:
                row = spread(declared[name], value, models)
            except ValueError as error:
                problems.append(f"genome.fixed.{pattern}: {error}")
                continue
            low, high = declared[name].minimum, declared[name].maximum
            if (low is not None and row.min() < low) or (high is not None and row.max() > high):
                problems.append(
                    f"genome.fixed.{pattern}.{name} is {value!r}; the method takes values of {_limits(declared[name])}"
                )
                continue
            places = [index for index in matching(pattern, labels) if not groups[index].frozen]
            twice = [labels[index] for index in places if pinned[name][index]]
            if twice:
                problems.append(f"genome.fixed gives {name} of {', '.join(twice)} more than one value")
            constants[name][places] = row
            pinned[name][places] = True
    return constants, pinned, problems


def _neutral(coefficient: Coefficient, models: int) -> NDArray[np.float64]:
    value = 1.0 / models if coefficient.simplex else coefficient.neutral
    return np.full(models, value) if coefficient.per_model else np.asarray(value)


def _gene_blocks(
    settings: GenomeSettings,
    coefficient: Coefficient,
    plan: Recipe,
    profiles: Sequence[DepthProfile],
    pinned: NDArray[np.bool_],
) -> Iterator[GeneBlock]:
    """The gene blocks of one coefficient over the groups that are neither frozen nor fixed."""
    if coefficient.whole or coefficient.name in settings.shared:
        profiles = [DepthProfile("all", tuple(index for profile in profiles for index in profile.groups), curve=False)]
    for profile in profiles:
        keep = [i for i, row in enumerate(profile.groups) if not plan.groups.groups[row].frozen and not pinned[row]]
        if not keep:
            continue
        weights = _weights(settings, profile, keep)
        low, high = settings.bounds.get(coefficient.name, (coefficient.low, coefficient.high))
        yield GeneBlock(
            coefficient=coefficient.name,
            rows=tuple(profile.groups[i] for i in keep),
            weights=weights,
            models=len(plan.sources) if coefficient.per_model else 0,
            simplex=coefficient.simplex,
            low=float(low),
            high=float(high),
            labels=_labels(coefficient, plan, profile, _depths(settings, weights.shape[1]) if profile.curve else ()),
        )


def _weights(settings: GenomeSettings, profile: DepthProfile, keep: Sequence[int]) -> NDArray[np.float64]:
    if not profile.curve:
        return curves.constant(len(keep))
    curve = curves.cosine if settings.depth == "smooth" and settings.basis == "cosine" else curves.points
    controls = _controls(settings, profile.layers)
    if controls == 1:
        return curves.constant(len(keep))
    kept = [profile.place[i] for i in keep]
    weights = curve(profile.layers, controls)[kept]
    if np.linalg.matrix_rank(weights) < weights.shape[1]:
        # Too few layers are left to tell the controls apart; the curve then runs over what is left.
        left = sorted(set(kept))
        weights = curve(len(left), controls)[[left.index(place) for place in kept]]
    return weights


def _controls(settings: GenomeSettings, layers: int) -> int:
    """Number of control values of a curve over some layers."""
    if settings.depth == "linear":
        return 2
    return settings.control_points if settings.control_every is None else math.ceil(layers / settings.control_every)


def _depths(settings: GenomeSettings, controls: int) -> tuple[str, ...]:
    """Place of each control of a curve, in per cent of depth."""
    if controls == 1:
        return ()
    if settings.depth == "smooth" and settings.basis == "cosine":
        return tuple(f"depth {100 * (j + 0.5) / controls:.0f}%" for j in range(controls))
    return tuple(f"depth {100 * j / (controls - 1):.0f}%" for j in range(controls))


def _labels(coefficient: Coefficient, plan: Recipe, profile: DepthProfile, depths: Sequence[str]) -> tuple[str, ...]:
    """One label per gene: controls over depth, and for each the models that have a gene."""
    owners = _owners(coefficient, plan)
    owners = owners[:-1] if coefficient.simplex else owners
    places = [" ".join(filter(None, (depth, profile.label))) for depth in depths] or [profile.label]
    return tuple(f"{coefficient.name}{owner} {place}".strip() for place in places for owner in owners)


def _owners(coefficient: Coefficient, plan: Recipe) -> list[str]:
    """Labels of the models that have a value each, or of none where one is shared by all."""
    return [f"[{name}]" for name in source_labels(plan)] if coefficient.per_model else [""]
