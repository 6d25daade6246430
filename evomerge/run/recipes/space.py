"""The recipes of a search: its space, the baselines it is compared with, and the members of another run in it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import numpy as np

from evomerge import genome, methods
from evomerge.checkpoints import Comparison, Matching, changed_names, differ, is_vocabulary, stored_dtype
from evomerge.errors import InputError
from evomerge.evaluation import BASE, SCALED, UNIFORM, expert_names
from evomerge.genome import GenomeSpec, ModelFacts
from evomerge.merging import Checkpoints, Merger, matching_of
from evomerge.methods import MergeMethod
from evomerge.post import coefficients_of
from evomerge.recipe import (
    DEFAULT_LAYER_PATTERN,
    Group,
    ModelRef,
    OutputLayer,
    ParameterGroups,
    Recipe,
    Source,
    Tokenizer,
    patterns_of,
)
from evomerge.run.recipes.models import merges_base
from evomerge.run.recipes.searched import SearchedRecipe, depths_of, layers_of
from evomerge.run.recipes.steps import WrittenSteps
from evomerge.run.run_config import RunConfig, child_seed


def build_spec(
    config: RunConfig, checkpoints: Checkpoints, method: MergeMethod, searched: SearchedRecipe | None
) -> GenomeSpec:
    """The search space of a method over opened checkpoints, or of the recipe that is searched.

    Raises:
        InputError: With everything that is wrong with options and genome.
    """
    if searched is not None:
        return _recipe_spec(config, searched.opened(checkpoints), checkpoints, method)
    refs = {ref.place: ref for ref in checkpoints.by_ref}
    models = tuple(refs[ref.place] for ref in config.models)
    first = replace(config, genome=config.genome.of_round(1, config.round.count))
    return spec_over(first, checkpoints, method, models, child_seed(config.seed, "masks"))


def spec_over(
    config: RunConfig, checkpoints: Checkpoints, method: MergeMethod, sources: Sequence[Source], seed: int
) -> GenomeSpec:
    """The search space of a method over some sources: the search's models, or recipes of them.

    Args:
        config: The search.
        checkpoints: Its opened checkpoints.
        method: Its merge method.
        sources: What is merged.
        seed: Of the method's random masks.

    Raises:
        InputError: With everything that is wrong with options and genome.
    """
    based = config.base is not None and merges_base(config, method)
    if config.embeddings == "base" and not based:
        raise InputError(
            "embeddings=base is set, but no base is merged; write base=FOLDER"
            + (f", and another method than {method.name}" if method.base == "none" else "")
        )
    steps = WrittenSteps.read(config.post)
    options = method.stated(config.method_options)
    refs = {ref.place: ref for ref in checkpoints.by_ref}
    base = refs[config.base.place] if config.base else None
    template = Recipe(
        method=method.name,
        options=options,
        # A searcher that chooses among models has more of them than the method merges at a time.
        sources=tuple(sources)[: method.models[1] if config.genome.merges else None],
        base=base if based else None,
        groups=ParameterGroups(
            (),
            (*config.patterns, *patterns_of(checkpoints.merged_names)),
            config.layer_pattern or DEFAULT_LAYER_PATTERN,
        ),
        dtype=config.model.merge_dtype,
        out_dtype=out_dtype(config, checkpoints),
        unmatched=config.unmatched,
        embeddings=config.embeddings,
        tokenizer=Tokenizer.named(config.tokenizer, based),
        post=steps.named,
        # Methods without randomness give the same model for every seed, so the seed is no part of their recipes.
        seed=seed if method.stochastic else 0,
    )
    # What stays the base's has no genes.
    kept = config.embeddings == "base"
    names = tuple(name for name in checkpoints.merged_names if not (kept and is_vocabulary(name)))
    declared = (*method.coefficients(method.resolve(options)), *steps.coefficients)
    alike = (
        len({layers_of(checkpoint, template.groups.layer_pattern) for checkpoint in checkpoints.by_ref.values()}) == 1
    )
    changed = _changed(checkpoints, sources, names) if method.base == "required" and alike else []
    settings, symmetric = steps.settings(config.genome), method.symmetric_under(options) and not steps.model_numbers
    depths: Sequence[int] = () if _merged(config) else depths_of(sources, checkpoints, template.groups)
    facts = ModelFacts(changed, depths)
    return genome.build(settings, declared, template, names, symmetric=symmetric, models=facts)


def _merged(config: RunConfig) -> bool:
    """Whether models are merged in some round, so that they have as many layers."""
    return config.genome.merges or config.round.count > 1


def _changed(checkpoints: Checkpoints, sources: Sequence[Source], names: Sequence[str]) -> list[Collection[str] | None]:
    """For each source the tensors in which it may differ from the base; of a recipe, those of any of its models."""

    def of(source: Source) -> Collection[str] | None:
        if not isinstance(source, Recipe):
            return changed_names(checkpoints[source], checkpoints.reference, names)
        found = [of(inner) for inner in source.sources]
        known = [own for own in found if own is not None]
        return frozenset().union(*known) if len(known) == len(found) else None

    return [of(source) for source in sources]


def _recipe_spec(
    config: RunConfig, searched: SearchedRecipe, checkpoints: Checkpoints, method: MergeMethod
) -> GenomeSpec:
    """The search space of a recipe's numbers.

    Raises:
        InputError: With everything that is wrong with the recipe and the genome.
    """
    recipe = searched.recipe
    try:
        outputs = Merger(checkpoints).plan(recipe).outputs
    except InputError as error:
        raise InputError([f"recipe: {problem}" for problem in error.problems]) from error
    rows = {name: tensor.row for name, tensor in outputs.merged.items() if tensor.row is not None}
    slots: dict[int, int] = {}
    for name, row in rows.items():
        slots[row] = max(slots.get(row, 0), outputs.merged[name].slots)
    declared = (*method.coefficients(outputs.options), *coefficients_of(outputs.steps))
    return genome.from_recipe(config.genome, declared, recipe, searched.numbers, rows, slots)


def compare_models(config: RunConfig, checkpoints: Checkpoints, searched: SearchedRecipe | None) -> Comparison:
    """Compares the models of a search, or those of the recipe that is searched."""
    trust, unmatched = config.model.trust_remote_code, config.unmatched
    if searched is None:
        whole = _merged(config)  # else layers are taken one by one
        by: Matching = "none" if config.embeddings == "base" else "row" if config.tokenizer == "reference" else "token"
        return checkpoints.compare(trust_remote_code=trust, same_depth=whole, unmatched=unmatched, matching=by)
    recipe = searched.opened(checkpoints).recipe
    # Where a recipe takes layers one by one, its models may differ in depth.
    depth, how = not recipe.has_layers, matching_of(recipe)
    return checkpoints.compare(trust_remote_code=trust, same_depth=depth, unmatched=unmatched, matching=how)


def baselines(
    template: Recipe, base: ModelRef | None, experts: Sequence[ModelRef], checkpoints: Checkpoints
) -> dict[str, Recipe]:
    """Base, each expert alone and their uniform average, as recipes of the linear method.

    Args:
        template: The recipe of the candidates.
        base: The base, also where the method itself takes none.
        experts: The models that are merged.
        checkpoints: All of them, opened. Models of unlike depth, whose layers are taken one by one, have no average.
    """
    options = methods.load("linear").stated({})
    groups = ParameterGroups((Group("all"),), template.groups.patterns, template.groups.layer_pattern)
    named = [*([] if base is None else [base]), *experts]
    depth = dict(zip(named, depths_of(named, checkpoints, groups), strict=True))
    own = layers_of(checkpoints.reference, groups.layer_pattern)

    def linear(models: tuple[ModelRef, ...]) -> Recipe:
        if template.embeddings != "merge" or template.tokenizer != Tokenizer():
            return _with_tokens_of(template, models, groups)
        weight = np.full((1, len(models)), 1.0 / len(models))
        layers = depth[models[0]]
        stack = tuple(OutputLayer(((0, layer),)) for layer in range(layers)) if layers != own else ()
        return replace(
            template, method="linear", options=options, sources=models, base=None, groups=groups,
            coefficients={"weight": weight}, seed=0, layers=stack, ends=None, post=(),
            chat_template=None, statistics=(),
        )  # fmt: skip

    names = expert_names([model.label for model in experts])
    found = {BASE: linear((base,))} if base is not None else {}
    found |= {name: linear((model,)) for name, model in zip(names, experts, strict=True)}
    if len(experts) > 1 and len({depth[model] for model in experts}) == 1:
        found[UNIFORM] = linear(tuple(experts))
    return found


def _with_tokens_of(template: Recipe, models: Sequence[ModelRef], groups: ParameterGroups) -> Recipe:
    """The average of some models, with the tokens of candidates: all sources are named, the others have no weight.

    Raises:
        InputError: If the candidates are put together from layers.
    """
    if template.has_layers:
        raise InputError(
            "recipe: it has layers, and tokens that are not the reference's, so it cannot be compared with its models "
            "alone; search one without layers, or leave out tokenizer and embeddings"
        )
    sources = tuple(dict.fromkeys([*template.sources, *models]))
    weight = np.array([[source in models for source in sources]]) / len(models)
    options = methods.load("linear").stated({})
    return replace(
        template, method="linear", options=options, sources=sources, groups=groups, coefficients={"weight": weight},
        seed=0, post=(), statistics=(),
    )  # fmt: skip


def scaled(
    template: Recipe, base: ModelRef | None, experts: Sequence[ModelRef], scales: Sequence[float]
) -> dict[str, Recipe]:
    """Task arithmetic with one scale for all experts, by the scale's name.

    Args:
        template: The recipe of the candidates.
        base: The base; without one there are none.
        experts: The models that are merged.
        scales: The scales.

    Returns:
        Name to recipe; empty also where candidates are put together from layers, or have tokens that only a method with
        a base would give them.
    """
    tokens = template.embeddings != "merge" or template.tokenizer != Tokenizer()
    if base is None or template.has_layers or (tokens and template.base is None):
        return {}
    plain = template
    if not tokens:
        plain = replace(template, ends=None, chat_template=None)
    plain = replace(
        plain, method="task_arithmetic", options=methods.load("task_arithmetic").stated({}), sources=tuple(experts),
        base=base, groups=ParameterGroups((Group("all"),), template.groups.patterns, template.groups.layer_pattern),
        seed=0, post=(), statistics=(),
    )  # fmt: skip
    found = {}
    for scale in scales:
        coefficients = {"weight": np.full((1, len(experts)), float(scale)), "lambda": np.ones(1)}
        found[f"{SCALED}{scale:g}"] = replace(plain, coefficients=coefficients)
    return found


def alone(model: ModelRef, checkpoints: Checkpoints) -> Recipe:
    """One model as a recipe, as the experts of a search are scored.

    Args:
        model: The model.
        checkpoints: It, opened, with what it is on.
    """
    stored = str(stored_dtype(checkpoints.reference)).removeprefix("torch.")
    groups = ParameterGroups((Group("all"),), patterns_of(checkpoints.merged_names))
    options = methods.load("linear").stated({})
    return Recipe("linear", options, (model,), None, groups, {"weight": np.ones((1, 1))}, out_dtype=stored)


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
    models = [ref for ref in spec.template.sources if not isinstance(ref, Recipe)]
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
