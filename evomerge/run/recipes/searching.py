"""The searcher of a search: its settings, the models that it chooses among, and what does not go with it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace

from evomerge.errors import Findings, InputError
from evomerge.evaluation import expert_names
from evomerge.genome import KEPT, GenomeSpec
from evomerge.merging import Checkpoints
from evomerge.methods import MergeMethod
from evomerge.run import paths
from evomerge.run.recipes.pool import expert_pool
from evomerge.run.recipes.space import baselines
from evomerge.run.recipes.span import SUMMED, model_span
from evomerge.run.run_config import RunConfig, child_seed
from evomerge.search import ExpertPool, Problem, SearcherSettings, make, searchers
from evomerge.store import RunStore

__all__ = ["adds_pushes", "check_searcher", "pool_of", "searcher_settings"]

_PUSHES = "svd"  # a mutation of CycleQD's


def searcher_settings(config: RunConfig) -> SearcherSettings:
    """The complete settings of the searcher, with its own seed."""
    chosen = replace(config.searcher, seed=child_seed(config.seed, "search"))
    return searchers.load(chosen.name).complete(chosen)


def adds_pushes(config: RunConfig) -> bool:
    """Whether the searcher adds pushes towards experts to its candidates, of which no genome tells."""
    return searcher_settings(config).options.get("mutation") == _PUSHES


def pool_of(config: RunConfig, spec: GenomeSpec, method: MergeMethod, checkpoints: Checkpoints) -> ExpertPool | None:
    """The experts of a search over models, where its searcher proposes recipes of them; None for all others.

    Raises:
        InputError: If recipes of some of them cannot be made or compared.
    """
    if not searchers.load(config.searcher.name).recipes:
        return None
    refs = {ref.place: ref for ref in checkpoints.by_ref}
    base = None if config.base is None else refs[config.base.place]
    experts = [refs[ref.place] for ref in config.models]
    known = baselines(spec.template, base, experts, checkpoints)
    names = expert_names([expert.label for expert in experts])
    alone = {expert: known[name] for expert, name in zip(experts, names, strict=True)}
    try:
        span = functools.partial(model_span, config, spec, checkpoints, experts) if method.name == SUMMED else None
        return expert_pool(spec, method, checkpoints, base, alone, span)
    except InputError as error:
        raise InputError([f"searcher {config.searcher.name}: {problem}" for problem in error.problems]) from error


def check_searcher(config: RunConfig, problem: Problem, pool: Callable[[], ExpertPool | None], found: Findings) -> None:
    """Finds what does not fit before any work; the searcher itself is made by the loop.

    Args:
        config: The search.
        problem: What it is made for, without the pool.
        pool: Makes that.
        found: Told of everything that is wrong.
    """
    found.problems += _misplaced(config)
    if config.start_from:
        found.attempt(lambda: RunStore.read(paths.expanded(str(config.start_from))))
    try:
        problem = replace(problem, pool=pool())
    except InputError as error:
        found.problems += error.problems
        return
    if problem.n_obj:
        found.attempt(lambda: make(config.searcher.name, problem, searcher_settings(config)))


def _misplaced(config: RunConfig) -> list[str]:
    """Settings that would change nothing, or mean something else from one candidate to the next."""
    if config.recipe is not None:
        given = {"start_temperature": config.start_temperature, "start_sensitivity": config.start_sensitivity or None}
        prior = config.searcher.options.get("prior", "none")
        given["searcher.options.prior"] = prior if prior != "none" else None
        return [
            f"{key}: weighs the models of models=, and a recipe's numbers are its start"
            for key, value in given.items()
            if value is not None
        ]
    if not config.genome.of_round(1, config.round.count).merges and (
        config.start_temperature is not None or config.start_sensitivity
    ):
        return ["start_temperature, start_sensitivity: paths through models as they are have no weights of models"]
    name, problems = config.searcher.name, list[str]()
    if searchers.load(name).items and not config.allocation.plain:
        problems = [f"allocation: searcher {name} compares scores of single items, so all are asked; leave it out"]
    if not searchers.load(name).recipes:
        return problems
    instead = "leave it out, or choose a searcher of coefficients, such as cmaes"
    starts = {
        "start_temperature": config.start_temperature,
        "start_sensitivity": config.start_sensitivity or None,
        "start_from": config.start_from,
    }
    if config.genome.layers != KEPT:
        return [*problems, f"genome.layers: searcher {name} proposes models alone, with all of their layers; {instead}"]
    problems += [
        f"{key}: searcher {name} starts from each model alone and takes no other start; {instead}"
        for key, value in starts.items()
        if value is not None
    ]
    if config.post:
        problems.append(
            f"post: searcher {name} proposes models alone, which no step would follow, and may merge recipes, which "
            f"the steps would follow once more at every level; {instead}"
        )
    return problems
