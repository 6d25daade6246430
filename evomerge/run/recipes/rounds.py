"""Rounds of a search as the user wrote them: settled, tried before any work, and the spaces of the later ones."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from evomerge import methods
from evomerge.errors import Findings, InputError
from evomerge.genome import GenomeSettings, GenomeSpec, PathGenes
from evomerge.merging import Checkpoints, Merger
from evomerge.methods import MergeMethod
from evomerge.recipe import Recipe
from evomerge.run import paths
from evomerge.run.recipes.layer_paths import check_paths
from evomerge.run.recipes.round_problems import problems, shortages
from evomerge.run.recipes.searching import searcher_settings
from evomerge.run.recipes.space import spec_over
from evomerge.run.recipes.starts import known_starts
from evomerge.run.run_config import RunConfig, child_seed
from evomerge.run.statistics.required import Required
from evomerge.run.statistics.search_texts import keyed_spec
from evomerge.search import Budgets, SearcherFactory, Space, factory
from evomerge.search.rounds.settings import NOISE, NextSpace
from evomerge.store import RunStore

__all__ = ["extension_notes", "fewest_elites", "genes", "later_spaces", "path_genes", "settled"]


def settled(config: RunConfig, method: MergeMethod) -> RunConfig:
    """A search with what was left to us of its rounds: candidates of each, and no more elites than the method merges.

    A run keeps the number of candidates that its rounds began with: a larger budget goes to the last one.

    Args:
        config: The search.
        method: Its merge method.
    """
    own = config.round
    if own.count == 1:
        return config
    most = method.models[1]
    room = own.elites if most is None else max(most - (len(config.models) if own.experts else 0), 1)
    each = own.evaluations or _began(config)
    each = each or max((config.budgets.evaluations or Budgets().evaluations or 0) // own.count, 1)
    return replace(config, round=replace(own, elites=min(own.elites, room), evaluations=each))


def extension_notes(written: RunConfig) -> list[str]:
    """Says that a search cannot be gone on with under a larger budget, where its folder is named by it, as a list.

    Args:
        written: The search before its rounds were settled.
    """
    own = written.round
    if own.count == 1 or own.evaluations is not None or written.run_dir is not None:
        return []
    return [
        f"rounds={own.count}: without run_dir another number of evaluations is another run, as each round has its "
        "share of them; to go on with this one later, write run_dir=FOLDER, or round.evaluations"
    ]


def _began(config: RunConfig) -> int | None:
    """Candidates of a round of the run that is gone on with; None where there is none."""
    if config.run_dir is None:
        return None
    with contextlib.suppress(InputError, KeyError, TypeError):
        return int(RunStore.read(paths.expanded(config.run_dir)).manifest["identity"]["rounds"]["evaluations"])
    return None


def genes(
    config: RunConfig,
    checkpoints: Checkpoints | None,
    method: MergeMethod | None,
    spec: GenomeSpec | None,
    found: Findings,
    warnings: list[str],
) -> tuple[int, ...]:
    """Number of genes of each later round, after a check of all of them.

    Args:
        config: The search, whose rounds are settled.
        checkpoints: Its opened checkpoints, if they could be opened.
        method: Its merge method, if there is one.
        spec: The space of the first round, if it could be laid out.
        found: Told of everything that is wrong.
        warnings: Gets what people should know.
    """
    if config.round.count == 1 or method is None:
        return ()
    if refused := problems(config, method):
        found.problems += refused
        return ()
    if checkpoints is None or spec is None:
        return ()
    found_genes = found.attempt(lambda: _genes(config, checkpoints, method, spec)) or ()
    warnings += shortages(config, found_genes)
    return found_genes


def later_spaces(
    config: RunConfig, checkpoints: Checkpoints, method: MergeMethod, statistics: Sequence[Required]
) -> NextSpace:
    """Gives the space of each later round of a search, whose rounds are settled.

    The method, its options and the genome's settings are those of the search; masks and searcher have seeds of the
    round's own. It begins with the points of the method but for single models other than the best elite: all of them
    have been scored. Where the genome's settings are of paths through layers, these are the last round's: through its
    elites, and through the experts if they take part.
    """

    def space(number: int, elites: Sequence[Recipe]) -> Space:
        seeded = replace(searcher_settings(config), seed=child_seed(config.seed, f"search of round {number}"))
        search = factory(config.searcher.name, seeded)
        if config.round.is_noise(number):
            return _noise_space(config, checkpoints, elites[0], search)
        refs = {ref.place: ref for ref in checkpoints.by_ref}
        experts = [refs[ref.place] for ref in config.models] if config.round.experts else []
        own = _of_round(config, number)
        masks = child_seed(config.seed, f"masks of round {number}")
        spec = spec_over(own, checkpoints, method, [*elites, *experts], masks)
        names, starts = known_starts(checkpoints, spec, method, None, replace(config, run_dir=None))
        kept = [row for row, name in enumerate(names) if not name.startswith("model:") or _is_first(name)]
        places = {f"model:{place}": place for place in range(len(elites))}
        alone = {places[name]: starts[row] for row, name in enumerate(names) if name in places}
        return Space(keyed_spec(spec, statistics), search, starts[kept], alone)

    return space


def fewest_elites(config: RunConfig, method: MergeMethod) -> int:
    """How many elites a later round needs: two models or more, as many as the method merges, experts among them."""
    others = len(config.models) if config.round.experts else 0
    return max(min(max(method.models[0], 2) - others, config.round.elites), 1)


def path_genes(config: RunConfig, checkpoints: Checkpoints, method: MergeMethod, spec: GenomeSpec) -> PathGenes | None:
    """The genes of paths through layers, of a search or of its last round; None where there are none.

    Args:
        config: The search, whose rounds are settled.
        checkpoints: Its opened checkpoints.
        method: Its merge method.
        spec: The space of the first round.
    """
    if config.round.count > 1:
        spec = spec_over(_of_round(config, config.round.count), checkpoints, method, spec.template.sources, seed=0)
    return spec.depth if isinstance(spec.depth, PathGenes) else None


def _of_round(config: RunConfig, number: int) -> RunConfig:
    """The search as it is in one of its rounds; no step follows where nothing is merged."""
    settings = config.genome.of_round(number, config.round.count)
    return replace(config, genome=settings, post=config.post if settings.merges else ())


def _noise_space(config: RunConfig, checkpoints: Checkpoints, best: Recipe, search: SearcherFactory) -> Space:
    """The space of noise around one recipe, in the groups of the search that are not frozen."""
    plain, method = GenomeSettings(), methods.load("linear")
    genome = replace(config.genome, fixed={}, bounds={}, shared=(), modules=plain.modules)
    step = {"step": NOISE, **config.round.noise, "seed": child_seed(config.seed, NOISE)}
    own = replace(
        config, method=method.name, method_options={}, post=(step,), genome=genome, embeddings="merge", run_dir=None
    )
    spec = spec_over(own, checkpoints, method, [best], 0)
    return Space(spec, search, known_starts(checkpoints, spec, method, None, own)[1])


def _is_first(name: str) -> bool:
    return name.partition("+")[0] == "model:0"


def _genes(
    config: RunConfig,
    checkpoints: Checkpoints,
    method: MergeMethod,
    spec: GenomeSpec,
    statistics: Sequence[Required] = (),
) -> tuple[int, ...]:
    """Number of genes of each later round, which is tried with recipes of the first one in the place of elites.

    Args:
        config: The search, whose rounds are settled.
        checkpoints: Its opened checkpoints.
        method: Its merge method.
        spec: The space of the first round.
        statistics: What candidates read.

    Raises:
        InputError: With everything for which recipes of a later round could not be merged.
    """
    space = later_spaces(config, checkpoints, method, statistics)
    count, found = config.round.elites, []
    elites = [spec.decode(np.full(spec.n_var, 0.5 + 0.4 * place / count)) for place in range(count)]
    for number in range(2, config.round.count + 1):
        try:
            genome = space(number, elites[: config.round.wanted(number)]).genome
            check_paths(_of_round(config, number), checkpoints, genome)
            Merger(checkpoints).plan(genome.decode(np.full(genome.n_var, 0.5)))
        except InputError as error:
            raise InputError([f"rounds: round {number}: {problem}" for problem in error.problems]) from error
        found.append(genome.n_var)
    return tuple(found)
