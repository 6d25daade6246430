"""One search from its configuration to its report."""

from __future__ import annotations

import contextlib
import functools
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge import executors, report
from evomerge.candidate import Worker, WorkerSettings
from evomerge.evaluation import PYTHON, PYTHON_ITEMS, Evaluation, Response
from evomerge.executors import Executor, ExecutorError
from evomerge.executors.folder import SharedFolder
from evomerge.fitness import TaskSuite
from evomerge.run import paths, tracked
from evomerge.run.assemble import Assembly, assemble, with_fingerprints
from evomerge.run.attach import WORK, absolute
from evomerge.run.cluster import sharing
from evomerge.run.description.identity import run_identity, worded
from evomerge.run.description.manifest import run_manifest
from evomerge.run.recipes.reach import reach_of
from evomerge.run.recipes.rounds import fewest_elites, later_spaces
from evomerge.run.recipes.searching import searcher_settings
from evomerge.run.recipes.sensitive_starts import Shares, by_sensitivities
from evomerge.run.recipes.starts import by_losses, without_subsets
from evomerge.run.run_config import RunConfig, child_seed
from evomerge.run.runtime import tuned, with_verification, worker_settings
from evomerge.run.serving.agreement import HERE, score_unquantised
from evomerge.run.statistics.ahead import collector_of
from evomerge.run.statistics.collecting import Collector
from evomerge.run.statistics.sensitivities import shares_of
from evomerge.search import Progress, RepeatedFailures, SearchPlan, SearchResult, factory, run
from evomerge.search.events import Event, Phase
from evomerge.search.searchers import load
from evomerge.store import LeaseLost, RunStore, identity, read_manifest

# In the run's folder and not in a cache of the user's: it is then private to the run, on a disk that was chosen for it,
# shared by the run's workers, and gone when the search is over.
PREPARED = "prepared"


@dataclass(frozen=True)
class ReadySearch:
    """A search that can start: assembled, weights read, its folder known.

    Attributes:
        assembly: Everything it needs.
        settings: What its workers need.
        folder: Where it is kept.
        identity: What makes it this run.
    """

    assembly: Assembly
    settings: WorkerSettings
    folder: Path
    identity: dict[str, Any]


def prepare(config: RunConfig, say: Callable[[str], None] = lambda _: None) -> ReadySearch:
    """Checks everything, reads all weights once, and finds the run's folder; writes nothing.

    Raises:
        InputError: With everything that is wrong.
    """
    tasks = config.fitness.tasks
    config = absolute(config) if executors.load(config.executor.name).external else config
    assembly = with_fingerprints(assemble(config), say)
    settings = worker_settings(assembly, 1)
    if config.run_dir:
        folder = paths.expanded(config.run_dir)
    else:
        assembly, folder = _default_folder(assembly, settings, tasks)
    kept = replace(settings.prepared, folder=str(folder / PREPARED))
    settings, notes = tuned(replace(settings, prepared=kept), assembly, folder, say)
    assembly = replace(assembly, warnings=(*assembly.warnings, *notes))
    settings = with_verification(settings, assembly, folder)
    return ReadySearch(assembly, settings, folder, worded(run_identity(assembly, settings), tasks, _began(folder)))


def _default_folder(assembly: Assembly, settings: WorkerSettings, tasks: Sequence[Any]) -> tuple[Assembly, Path]:
    """The folder named by the search's identity, or by the one that it had before there were starts from subsets.

    The name leaves the threads out, so that the same command finds its run on another machine; and drafts, as they were
    in no name before there were any.
    """
    settings = replace(settings, fitness=replace(settings.fitness, drafts="off"))

    def named(one: Assembly) -> Path:
        return Path("runs") / identity.digest(worded(run_identity(one, settings), tasks, None))[:12]

    names, starts = without_subsets(assembly.start_names, assembly.starts)
    earlier = replace(assembly, start_names=names, starts=starts)
    if (named(earlier) / "manifest.json").exists():
        return earlier, named(earlier)
    return assembly, named(assembly)


def _began(folder: Path) -> dict[str, Any] | None:
    """The identity of the run that a folder holds; None where it holds none."""
    if not (folder / "manifest.json").exists():
        return None
    found = read_manifest(folder).get("identity")
    return found if isinstance(found, dict) else None


def search(
    prepared: ReadySearch,
    progress: Callable[[Progress], None] = lambda _: None,
    stop: Callable[[], str] = lambda: "none",
    warn: Callable[[str], None] = tracked.warned,
    say: Callable[[str], None] = lambda _: None,
) -> SearchResult:
    """Runs a prepared search, or goes on with it, and writes its report.

    Args:
        prepared: The search.
        progress: Told after every outcome.
        stop: Asked whether to stop, see `evomerge.search.run`.
        warn: Told of what goes wrong beside the search, such as a tracker that fails.
        say: Told of the statistics that are collected before the first candidate.

    Raises:
        InputError: If the folder holds another run.
        RepeatedFailures: If candidate after candidate fails.
        KeyboardInterrupt: If told to stop now.
    """
    assembly, folder = prepared.assembly, prepared.folder
    manifest = run_manifest(assembly, prepared.settings, folder)
    shared = executors.load(assembly.config.executor.name).external
    with RunStore.open(folder, manifest, prepared.identity) as store:
        store.write_json("items.json", _items(assembly.suite))
        collector: Collector | None = None
        if executors.load(assembly.config.executor.name).needs_model:
            collector = collector_of(assembly, stop)
            collector.collect(assembly.statistics, say)
        shares = shares_of(assembly, store, collector, say)
        if shared:
            sharing.begin(folder, assembly.written, prepared.settings)
        sharing.reopen(folder)
        executor = make_executor(assembly, prepared.settings, folder)
        if isinstance(executor, SharedFolder):
            executor.check = store.check
        plan = replace(search_plan(assembly, shares), drafts=prepared.settings.fitness.drafts != "off")
        with tracked.follow(store, assembly.written, assembly.objectives, warn) as followed:
            try:
                listeners = (followed, functools.partial(_warn_of_baselines, store, warn))
                result = run(plan, executor, store, progress, stop, listeners)
            except LeaseLost:
                raise  # the folder is another process's, and so is its report
            except BaseException as error:
                _ended(folder, error, shared=shared)
                raise
            finally:
                executor.close()
            if result.reason != "stopped" and assembly.config.executor.name in HERE:
                score_unquantised(store, prepared.settings, assembly.suite, plan.aggregate, warn)
            tracked.conclude(followed, store, report.write(folder))
        if result.reason != "stopped":
            if shared:
                sharing.end(folder, result.reason)
            # Much larger than the rest of the folder, and soon made again if the run is extended.
            shutil.rmtree(folder / PREPARED, ignore_errors=True)
        return result


def _warn_of_baselines(store: RunStore, warn: Callable[[str], None], event: Event) -> None:
    """Warns once the baselines are scored, while it is early to begin otherwise.

    Of limits that cut their answers unevenly, and of constraints that a bad baseline makes empty.
    """
    if isinstance(event, Phase) and event.phase == "search":
        for text in report.baseline_caveats(store):
            warn(text)


def _ended(folder: Path, error: BaseException, *, shared: bool) -> None:
    """Leaves a report of what there is, if it can: what ended the search is what has to be told.

    Of a shared run that is interrupted another driver writes it, and soon: nobody waits for this one's.
    """
    if not (shared and isinstance(error, KeyboardInterrupt)):
        with contextlib.suppress(Exception):
            report.write(folder)
    if shared and isinstance(error, RepeatedFailures | ExecutorError):  # the next driver would meet it again
        sharing.end(folder, str(error), failed=True)


def search_plan(assembly: Assembly, shares: Shares = ()) -> SearchPlan:
    """The plan that the loop follows.

    Args:
        assembly: The search.
        shares: Of each start by sensitivity, the shares of the experts by group; see `by_sensitivities`.
    """
    config = assembly.config
    return SearchPlan(
        genome=assembly.spec,
        searcher=factory(config.searcher.name, searcher_settings(config)),
        objectives=assembly.objectives,
        constraints=assembly.constraints,
        baselines=assembly.baselines,
        items={split: _asked(assembly, split) for split in assembly.suite.items},
        aggregate=functools.partial(aggregate, assembly.suite),
        starts=assembly.starts,
        budgets=config.budgets,
        promotion=config.promote,
        finalists=config.confirm.finalists,
        allocation=replace(config.allocation, seed=child_seed(config.seed, "allocation")),
        scaled=assembly.scaled,
        clusters=assembly.suite.cluster,
        steady=searcher_settings(config).population if config.asynchronous else None,
        pool=assembly.pool,
        measures=assembly.measures,
        cells=config.cells,
        reach=reach_of(config, assembly.spec, assembly.checkpoints),
        scored_items=load(config.searcher.name).items,
        later_starts=_later_starts(assembly, shares),
        rounds=config.round,
        next_space=later_spaces(config, assembly.checkpoints, assembly.method, assembly.statistics),
        fewest_elites=fewest_elites(config, assembly.method),
    )


def _later_starts(
    assembly: Assembly, shares: Shares
) -> Callable[[Mapping[str, Evaluation]], NDArray[np.float64]] | None:
    """The starts that follow from the experts' losses and sensitivities, where they are wanted."""
    spec, method, temperature = assembly.spec, assembly.method, assembly.config.start_temperature
    if temperature is None and not shares:
        return None
    sensitive = by_sensitivities(spec, method, assembly.checkpoints.merged_names, shares)

    def starts(baselines: Mapping[str, Evaluation]) -> NDArray[np.float64]:
        by_loss = sensitive[:0] if temperature is None else by_losses(spec, method, temperature, baselines)
        return np.vstack([by_loss, sensitive])

    return starts


def aggregate(suite: TaskSuite, responses: Sequence[Response]) -> dict[str, float]:
    """The metrics of responses: those of the tasks, and the values of the user's functions.

    Args:
        suite: The tasks.
        responses: As a worker gave them, or as a store gave them back.
    """
    values = (response.metrics for response in responses if response.task == PYTHON)
    metrics = suite.aggregate(response for response in responses if response.task != PYTHON)
    return metrics | {f"{PYTHON}.{name}": float(value) for given in values for name, value in given.items()}


def _asked(assembly: Assembly, split: str) -> dict[str, tuple[str, ...]]:
    """The items that candidates are asked on a split, with the user's functions where there are any.

    Functions see no items: where there are no tasks, nothing is held out that they could be called on a second time.
    """
    items = {task: tuple(ids) for task, ids in assembly.suite.items[split].items()}
    called = any(items.values()) or (split == "search" and not items)
    return items | (PYTHON_ITEMS if assembly.functions and called else {})


def make_executor(assembly: Assembly, settings: WorkerSettings, folder: Path) -> Executor:
    """The executor that was chosen, whose workers have these settings; they may meet in the run's folder."""
    chosen = assembly.config.executor
    spec = executors.load(chosen.name)
    make_worker = (lambda: Worker(settings, assembly.suite)) if spec.in_process else functools.partial(Worker, settings)
    given = spec.given(chosen, assembly.device) | ({"folder": str(folder / WORK)} if spec.external else {})
    return executors.make(chosen.name, make_worker, **given)


def _items(suite: TaskSuite) -> dict[str, Any]:
    return {
        item: {"task": task, "split": split, **suite.describe(item)}
        for split, tasks in suite.items.items()
        for task, ids in tasks.items()
        for item in ids
    }
