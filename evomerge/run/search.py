"""One search from its configuration to its report."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from evomerge import kernels, report
from evomerge.candidate import Tuning, Worker, WorkerSettings, resolve_dtype, suite_digest, tune, with_tuning
from evomerge.errors import InputError
from evomerge.executors import Executor, in_process, processes
from evomerge.fitness import WHOLE, TaskSuite
from evomerge.merging import PreparedSettings
from evomerge.run import environment
from evomerge.run.assemble import Assembly, assemble, fitness_settings, searcher_settings, with_fingerprints
from evomerge.run.manifest import run_identity, run_manifest
from evomerge.run.run_config import RunConfig
from evomerge.search import Budgets, Progress, SearchPlan, SearchResult, factory, run
from evomerge.store import RunStore, identity

# In the run's folder and not in a cache of the user's: it is then private to the run, on a disk that was chosen for it,
# shared by the run's workers, and gone when the search is over.
PREPARED = "prepared"


@dataclass(frozen=True)
class Prepared:
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


def prepare(config: RunConfig, say: Callable[[str], None] = lambda _: None) -> Prepared:
    """Checks everything, reads all weights once, and finds the run's folder; writes nothing.

    Raises:
        InputError: With everything that is wrong.
    """
    assembly = with_fingerprints(assemble(config), say)
    settings = worker_settings(assembly, 1)
    # The default folder's name leaves the threads out, so that the same command finds its run on another machine.
    name = identity.digest(run_identity(assembly, settings))[:12]
    folder = Path(config.run_dir).expanduser() if config.run_dir else Path("runs") / name
    kept = replace(settings.prepared, folder=str(folder / PREPARED))
    settings, notes = _tuned(replace(settings, prepared=kept), assembly, folder, say)
    assembly = replace(assembly, warnings=(*assembly.warnings, *notes))
    return Prepared(assembly, settings, folder, run_identity(assembly, settings))


def search(
    prepared: Prepared,
    progress: Callable[[Progress], None] = lambda _: None,
    stop: Callable[[], str] = lambda: "none",
) -> SearchResult:
    """Runs a prepared search, or goes on with it, and writes its report.

    Raises:
        InputError: If the folder holds another run.
        RepeatedFailures: If candidate after candidate fails.
        KeyboardInterrupt: If told to stop now.
    """
    assembly = prepared.assembly
    manifest = run_manifest(assembly, prepared.settings, prepared.folder)
    with RunStore.open(prepared.folder, manifest, prepared.identity) as store:
        store.write_json("items.json", _items(assembly.suite))
        executor = _executor(assembly, prepared.settings)
        try:
            result = run(search_plan(assembly), executor, store, progress, stop)
        except BaseException:
            # What ended the search is what has to be told; a report of what there is comes along if it can.
            with contextlib.suppress(Exception):
                report.write(prepared.folder)
            raise
        finally:
            executor.close()
        report.write(prepared.folder)
        if result.reason != "stopped":
            # Much larger than the rest of the folder, and soon made again if the run is extended.
            shutil.rmtree(prepared.folder / PREPARED, ignore_errors=True)
        return result


def search_plan(assembly: Assembly) -> SearchPlan:
    """What the loop is given."""
    config = assembly.config
    return SearchPlan(
        genome=assembly.spec,
        searcher=factory(config.searcher.name, searcher_settings(config)),
        objectives=assembly.objectives,
        constraints=assembly.constraints,
        baselines=assembly.baselines,
        items={
            split: {task: tuple(ids) for task, ids in tasks.items()} for split, tasks in assembly.suite.items.items()
        },
        starts=assembly.starts,
        budgets=Budgets(config.evaluations, **asdict(config.budgets)),
        max_failures=config.max_failures,
        finalists=config.confirm.finalists,
    )


def worker_settings(assembly: Assembly, threads: int) -> WorkerSettings:
    """What workers are given."""
    model, sources = assembly.config.model, assembly.sources
    reference = next(ref for ref, checkpoint in sources.checkpoints.items() if checkpoint is sources.reference)
    objectives = [key for objective in assembly.objectives for _, key in objective.terms]
    return WorkerSettings(
        reference=reference,
        folders=tuple((ref, str(checkpoint.path)) for ref, checkpoint in sources.checkpoints.items()),
        fitness=fitness_settings(assembly.config.to_json()),
        items=suite_digest(assembly.suite),
        required=tuple(dict.fromkeys([*objectives, *(constraint.metric for constraint in assembly.constraints)])),
        dtype=model.dtype,
        attention=model.attention,
        device=assembly.device,
        threads=threads,
        trust_remote_code=model.trust_remote_code,
        functions=assembly.functions,
        prepared=PreparedSettings(None, model.prepared_disk, model.prepared_memory),
    )


def _executor(assembly: Assembly, settings: WorkerSettings) -> Executor:
    chosen = assembly.config.executor
    if chosen.name == "processes":
        return processes(functools.partial(Worker, settings), chosen.workers)
    return in_process(lambda: Worker(settings, assembly.suite))


def _tuned(
    settings: WorkerSettings, assembly: Assembly, folder: Path, say: Callable[[str], None]
) -> tuple[WorkerSettings, tuple[str, ...]]:
    """Settles how models are run: as told, else as the run began, else as short measurements say; and what to know."""
    model, suite = assembly.config.model, assembly.suite
    with contextlib.suppress(InputError, KeyError):
        # Of runs that began before they were recorded, nothing was shared.
        manifest = RunStore.read(folder).manifest
        began, notes = manifest["identity"], tuple(text for text in manifest.get("warnings", ()) if WHOLE in text)
        tuning = Tuning(int(began["model"]["threads"]), str(began["fitness"].get("prefixes", "plain")))
        dtype = str(began["model"]["dtype"]) if model.dtype == "auto" else model.dtype
        return _told(with_tuning(replace(settings, dtype=dtype), tuning), assembly), notes
    reference = assembly.sources.reference
    settings = replace(settings, dtype=resolve_dtype(model.dtype, reference, assembly.device))
    if (used := kernels.in_use()).name == "torch":
        say(used.reason)
    say("measuring how to run the model here")
    tuning = tune(settings, suite, _thread_counts(assembly))
    environment.give_back_memory()  # of the model that was measured: a worker in this process loads its own
    say(_described(settings.dtype, tuning))
    return _told(with_tuning(settings, tuning), assembly), tuning.notes


def _told(settings: WorkerSettings, assembly: Assembly) -> WorkerSettings:
    """What the user said comes before what was measured, or how the run began."""
    threads = assembly.config.model.threads or settings.threads
    prefixes = assembly.config.fitness["prefixes"]
    fitness = settings.fitness if prefixes == "auto" else replace(settings.fitness, prefixes=prefixes)
    return replace(settings, threads=threads, fitness=fitness)


def _thread_counts(assembly: Assembly) -> list[int]:
    """Numbers of threads that a worker may have; they must not follow the number of workers once a run has begun."""
    model, executor = assembly.config.model, assembly.config.executor
    if model.threads is not None:
        return [model.threads]
    cores = len(os.sched_getaffinity(0))
    most = max(1, cores // executor.workers) if executor.name == "processes" else cores
    return sorted({1, max(1, most // 2), most})


def _described(dtype: str, tuning: Tuning) -> str:
    threads = "1 thread" if tuning.threads == 1 else f"{tuning.threads} threads"
    text = f"models run in {dtype} with {threads} per worker; " + (
        "shared beginnings are computed once" if tuning.prefixes == "shared" else "every sequence is read whole"
    )
    cores = len(os.sched_getaffinity(0))
    gain = cores * tuning.seconds[tuning.threads] / tuning.seconds[1] if tuning.seconds else 0.0
    if gain > 1.3 and tuning.threads > 1:
        text += (
            f"; {cores} workers of one thread could score up to {gain:.1f} times as much "
            f"(executor=processes executor.workers={cores} model.threads=1)"
        )
    return text


def _items(suite: TaskSuite) -> dict[str, Any]:
    return {
        item: {"task": task, "split": split, **suite.describe(item)}
        for split, tasks in suite.items.items()
        for task, ids in tasks.items()
        for item in ids
    }
