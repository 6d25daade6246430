"""Settings that do not go with rounds of a search, and warnings of such as hardly do."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence

from evomerge.errors import InputError
from evomerge.genome import KEPT, few_for
from evomerge.genome.automatic import FEW
from evomerge.genome.weight_rules import FREE
from evomerge.methods import MergeMethod
from evomerge.options import model_numbers
from evomerge.run.recipes.searching import adds_pushes, searcher_settings
from evomerge.run.recipes.steps import WrittenSteps
from evomerge.run.run_config import RunConfig
from evomerge.search import searchers
from evomerge.search.rounds.settings import NOISE

__all__ = ["problems", "shortages"]

_MOST_INSIDE = 300  # merges of the first round in a recipe of the last, which names each in full


def problems(config: RunConfig, method: MergeMethod) -> list[str]:
    """Settings that do not go with several rounds, one sentence each.

    Args:
        config: The search, whose rounds are settled.
        method: Its merge method.
    """
    if config.round.count == 1:
        return []
    spec, most, count = searchers.load(config.searcher.name), method.models[1], config.round.count
    first, last = (config.genome.of_round(number, count) for number in (1, count))
    merged = count > 2 or last.merges  # in some later round
    refused = {
        "mode": (config.asynchronous, "a round ends with a batch, and an asynchronous search has none"),
        "searcher": (spec.recipes, f"{spec.name} merges what it has found itself; choose a searcher of weights"),
        "recipe": (config.recipe is not None, "the numbers of one recipe are searched, which has its own models"),
        "genome.layers": (first.layers != KEPT, "elites would have lost other layers each"),
        "genome.weights": (config.genome.weights != FREE, "the rule is of models in an order, which elites have not"),
        "tokenizer": (config.tokenizer != "reference", "elites would be merged token by token once more"),
        "round.experts": (
            merged and config.round.experts and most is not None and most <= len(config.models),
            f"method {method.name} merges at most {most} models, so that there is no room for elites beside experts",
        ),
    }
    if config.round.last == NOISE:
        why = "noise is as long as a part of the delta from base="
        refused["round.last=noise"] = (config.base is None, why)
        refused["genome.layers"] = (
            last.layers != KEPT,
            "the last round is of noise, and paths through layers are, too",
        )
    found = [f"rounds: {key}: {why}; leave one of them out" for key, (given, why) in refused.items() if given]
    return found + _elite_problems(config, method)


def _elite_problems(config: RunConfig, method: MergeMethod) -> list[str]:
    """Settings under which elites cannot be merged as models are, one sentence each."""
    found: list[str] = []
    spec, count, options = (
        searchers.load(config.searcher.name),
        config.round.count,
        method.resolve(config.method_options),
    )
    with contextlib.suppress(InputError):  # which is said elsewhere
        if adds_pushes(config):
            found.append(
                f"rounds: searcher {spec.name} adds pushes to its candidates, so elites would have no genome; write "
                "searcher.options.mutation=genes, or choose another searcher"
            )
    numbers = [f"method_options.{name}" for name in model_numbers(method.options, options)]
    with contextlib.suppress(InputError):  # which is said elsewhere
        numbers += WrittenSteps.read(config.post).model_numbers
    found += [f"rounds: {name} is the number of a model, and elites are others; leave it out" for name in numbers]
    try:
        if "seed" in WrittenSteps.read([{"step": NOISE, **config.round.noise}]).fixed or "seed" in config.round.noise:
            found.append("rounds: round.noise.seed follows from seed; leave it out")
    except InputError as error:
        found += [f"rounds: round.noise: {problem}" for problem in error.problems]
    inside = math.prod(config.round.wanted(number) for number in range(2, count + 1))
    if inside > _MOST_INSIDE:
        found.append(
            f"rounds: rounds={count} with round.elites={config.round.elites} puts up to {inside} merges into one "
            f"recipe, and more than {_MOST_INSIDE} make records too long; write fewer rounds, or "
            f"round.elites={math.floor(_MOST_INSIDE ** (1 / (count - 1)) + 1e-9)} or less"
        )
    if any(need.of == "models" or need.texts == "own" for need in method.needs(options)):
        found.append(
            f"rounds: method {method.name} reads statistics of the models that it merges, and none are collected of "
            "elites; choose another method"
        )
    return found


def shortages(config: RunConfig, genes: Sequence[int]) -> list[str]:
    """Warnings of rounds that are too short to search in, or do not leave the last one anything.

    Args:
        config: The search, whose rounds are settled.
        genes: Number of genes of the later rounds.
    """
    rounds, budget = config.round, config.budgets.evaluations
    each = rounds.evaluations or 0
    if rounds.count == 1:
        return []
    found = []
    if genes and few_for(max(genes), each) is not None:
        found.append(
            f"rounds={rounds.count}: {max(genes)} genes for {each} candidates of a round are hard to search; write "
            f"fewer rounds or round.elites, or evaluations={math.ceil(FEW * max(genes)) * rounds.count} or more"
        )
    if budget is not None and each * (rounds.count - 1) >= budget:
        found.append(
            f"rounds={rounds.count}: all but the last take {each * (rounds.count - 1)} candidates, and evaluations is "
            f"{budget}; write round.evaluations={max(budget // rounds.count, 1)} or less"
        )
    population = searcher_settings(config).population
    if population is not None and each < population:
        found.append(
            f"rounds={rounds.count}: a round has {each} candidates and a batch {population}, so the searcher learns "
            f"nothing within a round; write searcher.population={max(each // 3, 5)}, or more evaluations"
        )
    return found
