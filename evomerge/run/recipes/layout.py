"""The layout of a search whose genome is ``auto``: as its run began, else as its budget says."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from evomerge.errors import InputError
from evomerge.genome import AUTO, Chosen, GenomeSettings, choose, few_for
from evomerge.merging import Checkpoints
from evomerge.methods import MergeMethod
from evomerge.run import paths
from evomerge.run.recipes.space import build_spec
from evomerge.run.run_config import RunConfig
from evomerge.search import Budgets
from evomerge.settings import from_json
from evomerge.store import RunStore

__all__ = ["evaluations_of", "few_evaluations", "laid_out"]

_LAYOUT = ("depth", "own_groups", "ends")
_RECIPES = "layer"  # what the identities of searches of a recipe have always said


def evaluations_of(config: RunConfig) -> int:
    """How many candidates a search scores, or one of its rounds; the default number where its budgets do not say."""
    if config.round.count > 1 and config.round.evaluations is not None:
        return config.round.evaluations
    return config.budgets.evaluations or Budgets().evaluations or 0


def laid_out(config: RunConfig, checkpoints: Checkpoints, method: MergeMethod) -> tuple[RunConfig, Chosen | None]:
    """A configuration whose depth is known, and how it was chosen.

    A run keeps the layout that it began with: a larger budget goes on with the same genes.

    Args:
        config: The search; another depth than ``auto`` stays. Where a recipe gives the genes, the depth says nothing.
        checkpoints: Its opened checkpoints.
        method: Its merge method.

    Raises:
        InputError: With everything that is wrong with options and genome.
    """
    if config.genome.depth != AUTO:
        return config, None
    if config.recipe is not None:
        return replace(config, genome=replace(config.genome, depth=_RECIPES)), None

    def genes(settings: GenomeSettings) -> int:
        return build_spec(replace(config, genome=settings), checkpoints, method, None).n_var

    began = _began(config)
    if began is None:
        chosen = choose(config.genome, evaluations_of(config), genes)
    else:
        settings = replace(config.genome, **{name: getattr(began, name) for name in _LAYOUT})
        chosen = Chosen(settings, genes(settings), evaluations_of(config), kept=True)
    return replace(config, genome=chosen.settings), chosen


def few_evaluations(config: RunConfig, genes: int, chosen: Chosen | None) -> list[str]:
    """The warning where genes are many and candidates few, as a list."""
    warning = few_for(genes, evaluations_of(config), automatic=chosen is not None)
    return [] if warning is None else [warning]


def _began(config: RunConfig) -> GenomeSettings | None:
    """The genome of the run that is gone on with; None where there is none."""
    if config.run_dir is None:
        return None
    with contextlib.suppress(InputError, KeyError):
        manifest = RunStore.read(paths.expanded(config.run_dir)).manifest
        found = from_json(GenomeSettings, {"genome": manifest["identity"]["genome"]["settings"]}, "genome.")
        return found if found.depth != AUTO else None
    return None
