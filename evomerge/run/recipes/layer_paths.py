"""Searches for paths through layers: whether layers of their models may go elsewhere, and weights stand for scales."""

from __future__ import annotations

from dataclasses import replace

from evomerge.errors import InputError
from evomerge.genome import GenomeSpec, PathGenes
from evomerge.merging import Checkpoints, Merger
from evomerge.merging.blueprint import check_loadable
from evomerge.methods import MergeMethod
from evomerge.recipe import ModelRef, Recipe
from evomerge.run.recipes.searched import SearchedRecipe, depths_of
from evomerge.run.recipes.space import build_spec
from evomerge.run.run_config import RunConfig
from evomerge.statistics._layerwise.scales import scale_problem

__all__ = ["check_paths", "checked_spec", "exemplar"]

_FACTOR = 2.0  # which changes no digits of a weight
_INSTEAD = "write genome.scales=none for paths without scales"


def checked_spec(
    config: RunConfig, checkpoints: Checkpoints, method: MergeMethod, searched: SearchedRecipe | None
) -> GenomeSpec:
    """The search space, or that of the first round; what can be known of paths before any work is.

    Raises:
        InputError: With everything that is wrong with options and genome; or as `check_paths`.
    """
    if not config.genome.merges and config.round.count == 1 and method.needs(method.resolve(config.method_options)):
        raise InputError(
            f"genome.through=models merges nothing, so method {method.name} would read texts for nothing; write "
            "method=linear, or genome.through=both"
        )
    spec = build_spec(config, checkpoints, method, searched)
    check_paths(config, checkpoints, spec)
    return spec


def exemplar(spec: GenomeSpec, checkpoints: Checkpoints, base: ModelRef | None) -> Recipe:
    """A recipe that has the tensors of every candidate: the template, or the first of models of unlike depth.

    Args:
        spec: The search space.
        checkpoints: The opened checkpoints.
        base: The search's base, merged or not.
    """
    template, named = spec.template, [*spec.template.sources, *([] if base is None else [base])]
    if not isinstance(spec.depth, PathGenes) or any(isinstance(own, Recipe) for own in named):
        return template
    alike = len(set(depths_of(named, checkpoints, template.groups))) == 1
    return template if alike else spec.depth.alone(template)[0]


def check_paths(config: RunConfig, checkpoints: Checkpoints, spec: GenomeSpec) -> None:
    """Finds out what no path of a search could do: with layers in another order, and with scales if there are genes.

    Args:
        config: The search.
        checkpoints: Its opened checkpoints.
        spec: A space, of which nothing is asked where it is not of paths.

    Raises:
        InputError: If layers mean what they are by their places, or weights cannot stand for scales.
    """
    genes = spec.depth
    if not isinstance(genes, PathGenes):
        return
    first = next((own for own in spec.template.sources if not isinstance(own, Recipe)), next(iter(checkpoints.by_ref)))
    like = replace(spec.template, sources=(first,), coefficients={})
    merger = Merger(checkpoints)
    try:
        check_loadable(merger.as_source(genes.turned(like)))
    except InputError as error:
        raise InputError(
            f"genome.layers={config.genome.layers}: layers of this model cannot stand elsewhere: {error.problems[0]}; "
            f"write genome.layers=path and genome.longest={max(genes.layers)}, for paths that change models alone"
        ) from error
    if len(set(genes.layers)) > 1:
        _check_layers(genes, spec.template, merger)
    if not genes.walk.scaled:
        return
    if not config.fitness.tasks:
        raise InputError(
            f"genome.scales: only language models, which have tasks, can be asked about scales; {_INSTEAD}"
        )
    plain, scaled = (genes.two_layers(like, factor) for factor in (1.0, _FACTOR))
    if problem := scale_problem(merger, plain, scaled, _FACTOR):
        raise InputError(f"genome.scales: {problem}; {_INSTEAD}")


def _check_layers(genes: PathGenes, template: Recipe, merger: Merger) -> None:
    """Finds models of which some layer does not fit into the first one's, whose depth is another one.

    Raises:
        InputError: With all of them.
    """
    problems = []
    for label, own in zip(genes.models, genes.alone(template), strict=True):
        try:
            check_loadable(merger.as_source(own))
        except InputError as error:
            problems.append(
                f"genome.layers: layers of {label} do not fit between embeddings and head of {genes.models[0]}: "
                f"{error.problems[0]}"
            )
    if problems:
        raise InputError(problems)
