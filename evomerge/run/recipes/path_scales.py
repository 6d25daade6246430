"""The space of a search, if weights of its models can stand for the scales of paths through their layers."""

from __future__ import annotations

from evomerge.errors import InputError
from evomerge.genome import GenomeSpec, PathGenes
from evomerge.merging import Checkpoints, Merger
from evomerge.methods import MergeMethod
from evomerge.run.recipes.searched import SearchedRecipe
from evomerge.run.recipes.space import build_spec
from evomerge.run.run_config import RunConfig
from evomerge.statistics._layerwise.scales import scale_problem

__all__ = ["checked_spec"]

_FACTOR = 2.0  # which changes no digits of a weight
_INSTEAD = "write genome.scales=none for paths without scales"


def checked_spec(
    config: RunConfig, checkpoints: Checkpoints, method: MergeMethod, searched: SearchedRecipe | None
) -> GenomeSpec:
    """The search space; where it has genes for scales, the first model's first two layers are asked about them.

    Raises:
        InputError: With everything that is wrong with options and genome; or if weights cannot stand for scales.
    """
    spec = build_spec(config, checkpoints, method, searched)
    genes = spec.depth
    if not isinstance(genes, PathGenes) or not genes.walk.scaled:
        return spec
    if not config.fitness.tasks:
        raise InputError(
            f"genome.scales: only language models, which have tasks, can be asked about scales; {_INSTEAD}"
        )
    plain, scaled = (genes.two_layers(spec.template, factor) for factor in (1.0, _FACTOR))
    if problem := scale_problem(Merger(checkpoints), plain, scaled, _FACTOR):
        raise InputError(f"genome.scales: {problem}; {_INSTEAD}")
    return spec
