"""Fitness of a search as its configuration names it: tasks, the user's functions, objectives and constraints."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from evomerge.candidate import UserFunction, build_suite, find_function, load_tokenizer, model_files
from evomerge.errors import Findings, InputError, suggest
from evomerge.evaluation import PYTHON_ITEMS, Constraint, Measure, Objective
from evomerge.evaluation.grammar import (
    default_objectives,
    read_constraints,
    read_measures,
    read_objectives,
    safety_constraints,
)
from evomerge.fitness import TaskSuite, inspect_tasks
from evomerge.genome import GenomeSpec
from evomerge.merging import Checkpoints
from evomerge.run import paths
from evomerge.run.run_config import RunConfig, fitness_settings
from evomerge.search import AllocationSettings, searchers, unfit_for_items
from evomerge.store import RunStore

MOST_CELLS = 1_000_000
FUNCTIONS_ALONE = (
    "no tasks: functions alone score the candidates and nothing is held out, so the scores of the best are optimistic; "
    "judge an exported member on data that the functions have not seen"
)


def functions(config: RunConfig) -> tuple[UserFunction, ...]:
    """The user's own metrics.

    Raises:
        InputError: With everything that is wrong with them.
    """
    problems: list[str] = []
    found: list[UserFunction] = []
    for text in config.functions:
        try:
            place, colon, name = text.rpartition(":")
            found.append(find_function(f"{paths.expanded(place)}{colon}{name}"))
        except InputError as error:
            problems += error.problems
    names = [function.name for function in found]
    problems += [f"functions: {name} is given twice" for name in sorted({n for n in names if names.count(n) > 1})]
    if problems:
        raise InputError(problems)
    return tuple(found)


def tasks(
    config: RunConfig, checkpoints: Checkpoints | None, spec: GenomeSpec | None, found: Findings
) -> tuple[TaskSuite | None, dict[str, bool] | None]:
    """The suite, or without a tokenizer at least the names of the metrics.

    Args:
        config: The user's wishes.
        checkpoints: The opened checkpoints, if they could be opened.
        spec: The search space, if it could be laid out.
        found: Told of everything that is wrong.

    Returns:
        The suite; and whether more is better, by metric key. None is what a problem has kept from being known.
    """
    settings = fitness_settings(config.fitness, config.seed)
    trust, scoring = config.model.trust_remote_code, bool(settings.tasks)
    if checkpoints is not None:
        tokenizer, suite = None, None
        try:
            with model_files(checkpoints, None if spec is None else spec.template) as files:
                tokenizer = found.attempt(lambda: load_tokenizer(files.path, trust, scoring=scoring))
                suite = found.attempt(lambda: build_suite(settings, files, tokenizer)) if tokenizer else None
        except InputError as error:
            found.problems += error.problems
        if tokenizer is not None and scoring:
            return suite, {key: info.higher_is_better for key, info in suite.metrics.items()} if suite else None
    if not scoring:
        return TaskSuite.of_no_tasks(settings), {}
    inspected = found.attempt(lambda: inspect_tasks(settings))
    return None, dict(inspected.metrics) if inspected else None


def wishes(
    config: RunConfig, metrics: Mapping[str, bool], suite: TaskSuite | None, found: Findings
) -> tuple[tuple[Objective, ...], tuple[Constraint, ...], tuple[Measure, ...]]:
    """Objectives, constraints and measures.

    Args:
        config: The user's wishes.
        metrics: Whether more is better, by metric key.
        suite: The tasks, if they could be built.
        found: Told of everything that is wrong.
    """
    tasks = list(suite.items["search"]) if suite is not None else []
    texts = list(config.objectives) or (default_objectives(metrics, tasks) if config.fitness.tasks else list(metrics))
    objectives = found.attempt(lambda: read_objectives(texts, metrics)) or ()
    if suite is not None and searchers.load(config.searcher.name).items and len(objectives) == 1:
        asked = {**suite.items["search"], **(PYTHON_ITEMS if config.functions else {})}
        unfit = unfit_for_items(objectives[0], asked)
        found.problems += [] if unfit is None else [f"searcher {config.searcher.name}: {unfit}"]
    safety = found.attempt(lambda: safety_constraints(config.safety, metrics)) or []
    constraints = found.attempt(lambda: read_constraints([*config.constraints, *safety], metrics)) or ()
    for constraint in constraints:
        if constraint.relative_to == "base" and config.base is None:
            found.problems.append(
                f"constraint {constraint.label!r} is relative to base, and there is none; write base=FOLDER"
            )
    return objectives, constraints, _measures(config, metrics, suite, objectives, found)


def notes(config: RunConfig, metrics: Mapping[str, bool], suite: TaskSuite) -> list[str]:
    """Warnings of the tasks, or that there are none; and of those of ``safety`` whose items are too few to tell."""
    found = [*suite.warnings] if config.fitness.tasks else [FUNCTIONS_ALONE]
    for (name, points), text in zip(config.safety.items(), safety_constraints(config.safety, metrics), strict=True):
        items = len(suite.items["search"].get(text.split(maxsplit=1)[0].rpartition(".")[0], ()))
        errors = [100.0 * math.sqrt(share * (1.0 - share) / items) for share in (0.95, 0.5)] if items else [0.0]
        if errors[0] > points:
            least = f"; {0.0475 * (100.0 / points) ** 2:.0f} items or more would do" if points else ""
            found.append(
                f"safety: {name} may lose {points:g} points, but on {items} search items the standard error of its "
                f"score is {errors[0]:.1f} points where 95 % are right and {errors[1]:.1f} where half are, so chance "
                f"decides who stays within{least}"
            )
    return found


def _measures(
    config: RunConfig,
    metrics: Mapping[str, bool],
    suite: TaskSuite | None,
    objectives: Sequence[Objective],
    found: Findings,
) -> tuple[Measure, ...]:
    """The measures of a searcher that keeps an archive of elites; any other one refuses those that are given.

    Args:
        config: The user's wishes.
        metrics: Whether more is better, by metric key.
        suite: The tasks, if they could be built.
        objectives: What to improve.
        found: Told of everything that is wrong.
    """
    keeps = searchers.load(config.searcher.name).measures
    if not config.measures and not keeps:
        return ()
    tasks = list(suite.items["search"]) if suite is not None else []
    several = [objective.label for objective in objectives] if len(objectives) > 1 else []
    texts = list(config.measures) or several or default_objectives(metrics, tasks) or [o.label for o in objectives]
    read = found.attempt(lambda: read_measures(texts, metrics)) or ()
    if keeps and several and read and [m.terms for m in read] != [o.terms for o in objectives]:
        found.problems.append(
            f"measures: with several objectives these are the measures, {', '.join(several)}; leave measures out, or "
            "name the same in their order, with a range behind each"
        )
    if config.cells ** len(read) > MOST_CELLS:
        found.problems.append(
            f"cells: {config.cells} along each of {len(read)} measures are too many; expected {MOST_CELLS} at most"
        )
    return read


def proxy_problems(config: RunConfig, objectives: Sequence[Objective], metrics: Mapping[str, bool]) -> list[str]:
    """Why the proxy that ranks candidates cannot: no task of an objective records it."""
    proxy = config.allocation.proxy
    if proxy is None or not objectives:
        return []
    owners = dict.fromkeys(key.rpartition(".")[0] for objective in objectives for _, key in objective.terms)
    if any(f"{owner}.{proxy}" in metrics for owner in owners):
        return []
    known = dict.fromkeys(key.rpartition(".")[2] for key in metrics if key.rpartition(".")[0] in owners)
    return [
        f"allocation.proxy: {proxy!r} is recorded by none of {', '.join(owners)}{suggest(proxy, known)} (they record "
        f"{', '.join(known)})"
    ]


def allocation(config: RunConfig, suite: TaskSuite) -> AllocationSettings:
    """Which of the search items candidates are asked, where that was left open too.

    A run that began when every candidate was asked all items goes on so, and an asynchronous one, which has no batches
    to ask the same items, does so too. So does one that keeps an archive of elites, unless allocation is set: all
    of them would have to be asked the items of every batch; and one that is told of single items.
    """
    if config.asynchronous:
        return replace(config.allocation, policy=config.allocation.acting)
    chosen = searchers.load(config.searcher.name)
    archived = chosen.measures or chosen.items
    pools = [] if archived or _began_with_all(config) else [len(ids) for ids in suite.items["search"].values()]
    return config.allocation.settled(pools)


def _began_with_all(config: RunConfig) -> bool:
    """Whether a run is gone on with whose candidates are asked all items."""
    if config.run_dir is None:
        return False
    with contextlib.suppress(InputError, KeyError):
        return "allocation" not in RunStore.read(paths.expanded(config.run_dir)).manifest["identity"]
    return False
