"""The recipes of a search: its space, the baselines it is compared with, and the members of another run in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evomerge import genome, methods
from evomerge.checkpoints import differ, stored_dtype
from evomerge.errors import InputError
from evomerge.evaluation import BASE, UNIFORM, expert_names
from evomerge.genome import GenomeSpec, NotExpressible
from evomerge.merging import Checkpoints
from evomerge.methods import MergeMethod
from evomerge.recipe import DEFAULT_LAYER_PATTERN, CheckpointRef, Group, ParameterGroups, Recipe, patterns_of
from evomerge.report import front_members
from evomerge.run import paths
from evomerge.run.members import empty_front
from evomerge.run.run_config import RunConfig, child_seed
from evomerge.store import RunStore


def build_spec(config: RunConfig, checkpoints: Checkpoints, method: MergeMethod) -> GenomeSpec:
    """The search space of a method over opened checkpoints.

    Raises:
        InputError: With everything that is wrong with options and genome.
    """
    options = method.resolve(config.method_options)
    refs = {(ref.source, ref.revision): ref for ref in checkpoints.by_ref}
    models = tuple(refs[ref.source, ref.revision] for ref in config.models)
    base = refs[config.base.source, config.base.revision] if config.base else None
    template = Recipe(
        method=method.name,
        options=options,
        sources=models,
        base=base if method.base != "none" else None,
        groups=ParameterGroups(
            (),
            (*config.patterns, *patterns_of(checkpoints.merged_names)),
            config.layer_pattern or DEFAULT_LAYER_PATTERN,
        ),
        dtype=config.model.merge_dtype,
        out_dtype=out_dtype(config, checkpoints),
        unmatched=config.unmatched,
        # Methods without randomness give the same model for every seed, so the seed is no part of their recipes.
        seed=child_seed(config.seed, "masks") if method.stochastic else 0,
    )
    declared, names = method.coefficients(options), checkpoints.merged_names
    return genome.build(config.genome, declared, template, names, symmetric=method.symmetric)


def baselines(template: Recipe, base: CheckpointRef | None) -> dict[str, Recipe]:
    """Base, each expert alone and their uniform average, as recipes of the linear method.

    Args:
        template: The recipe of the candidates.
        base: The base, also where the method itself takes none.
    """
    options = methods.load("linear").resolve({})
    groups = ParameterGroups((Group("all"),), template.groups.patterns, template.groups.layer_pattern)

    def linear(models: tuple[CheckpointRef, ...]) -> Recipe:
        weight = np.full((1, len(models)), 1.0 / len(models))
        return replace(
            template, method="linear", options=options, sources=models, base=None, groups=groups,
            coefficients={"weight": weight}, seed=0,
        )  # fmt: skip

    names = expert_names([model.label for model in template.models])
    found = {BASE: linear((base,))} if base is not None else {}
    found |= {name: linear((model,)) for name, model in zip(names, template.models, strict=True)}
    if len(template.models) > 1:
        found[UNIFORM] = linear(template.models)
    return found


def tower_notes(config: RunConfig, checkpoints: Checkpoints, spec: GenomeSpec) -> Iterator[str]:
    """Says that towers stay the reference's, where that is the default, and which models have others.

    Args:
        config: The search.
        checkpoints: Its opened checkpoints.
        spec: Its space.
    """
    groups = spec.template.groups
    if "tower" in config.genome.frozen or not any(group.label == "tower" and group.frozen for group in groups.groups):
        return
    names = [name for name in checkpoints.merged_names if groups.place(name).kind == "tower"]
    own = ",".join((*config.genome.own_groups, "tower"))
    models = [ref for ref in spec.template.sources if isinstance(ref, CheckpointRef)]
    unlike = [ref.label for ref in models if differ(checkpoints.reference, checkpoints[ref], names)]
    yield (
        f"the vision or audio tower and its projector ({len(names)} tensors) stay the reference's; "
        f"genome.own_groups=[{own}] gives them genes of their own"
        + (f". {' and '.join(unlike)} have other values there, which are not used" if unlike else "")
    )


def out_dtype(config: RunConfig, checkpoints: Checkpoints) -> str:
    """The number type of merged weights; ``auto`` is that of the reference checkpoint."""
    chosen = config.model.out_dtype
    return str(stored_dtype(checkpoints.reference)).removeprefix("torch.") if chosen == "auto" else chosen


def front_of(folder: str, spec: GenomeSpec) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Genomes of the members of another run's front, as far as this space holds them.

    Raises:
        InputError: If there is no such run, or it holds none of them.
    """
    store = RunStore.read(paths.expanded(folder))
    names, rows = [], []
    members = front_members(store)
    if not members:
        raise InputError(f"start_from: the front in {folder} is empty: {empty_front(store)}")
    for member in members:
        evaluation = store.lookup(member.digest, "search")
        if evaluation is None:
            continue
        try:
            rows.append(spec.encode(Recipe.from_json(evaluation.recipe)))
        except NotExpressible:
            continue
        names.append(f"{folder}:{member.id}")
    if not rows:
        raise InputError(
            f"start_from: no member of the front in {folder} can be expressed in this search's genome; it needs the "
            "same models, base and method, and groups that are at least as fine"
        )
    return tuple(names), np.array(rows)
