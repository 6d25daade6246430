"""One search from its configuration to its report."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import shlex
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import evomerge
from evomerge import report
from evomerge.app.assembly import (
    Assembly,
    assemble,
    fitness_settings,
    searcher_settings,
    with_fingerprints,
)
from evomerge.app.card import licence_of
from evomerge.app.config import RunConfig
from evomerge.app.recipes import child_seed
from evomerge.candidate import Worker, WorkerSettings, device_info, suite_digest
from evomerge.errors import InputError
from evomerge.evaluation import SPLITS
from evomerge.executors import Executor, in_process, processes
from evomerge.fitness import TaskSuite
from evomerge.recipe import CheckpointRef
from evomerge.search import Budgets, Progress, SearchPlan, SearchResult, factory, run
from evomerge.store import RunStore, identity

_LIBRARIES = ("torch", "transformers", "lm-eval", "pymoo", "cma", "numpy", "safetensors", "datasets", "hydra-core")
# Settings of the fitness that say where files lie or how many items are used; the items themselves are in the identity.
_NOT_IDENTITY = ("task_path", "items_per_task", "test_items_per_task")


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
    threads = _threads(config)
    settings = worker_settings(assembly, threads)
    found = run_identity(assembly, settings)
    folder = Path(config.run_dir).expanduser() if config.run_dir else Path("runs") / identity.digest(found)[:12]
    return Prepared(assembly, settings, folder, found)


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
    with RunStore.open(prepared.folder, run_manifest(prepared), prepared.identity) as store:
        store.write_json("items.json", _items(assembly.suite))
        executor = _executor(assembly, prepared.settings)
        try:
            return run(search_plan(assembly), executor, store, progress, stop)
        finally:
            executor.close()
            report.write(prepared.folder)


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
    )


def run_identity(assembly: Assembly, settings: WorkerSettings) -> dict[str, Any]:
    """What changes a score or a proposal. Budgets, the executor and the report do not."""
    config, template = assembly.config, assembly.template
    fitness = asdict(settings.fitness)
    return {
        "models": [ref.fingerprint for ref in template.models],
        "base": assembly.known(config.base).fingerprint if config.base else None,
        "tokenizer": _tokenizer_digest(assembly),
        "method": {"name": template.method, "options": dict(template.options)},
        "genome": {"settings": _plain(config.genome), "labels": list(assembly.spec.labels)},
        "starts": hashlib.sha256(assembly.starts.tobytes()).hexdigest(),
        "objectives": [objective.to_json() for objective in assembly.objectives],
        "constraints": [constraint.to_json() for constraint in assembly.constraints],
        "functions": {function.name: function.content for function in assembly.functions},
        "fitness": {name: _plain(value) for name, value in fitness.items() if name not in _NOT_IDENTITY},
        "items": settings.items,
        "searcher": {"name": config.searcher.name, **_plain(asdict(searcher_settings(config)))},
        "seed": config.seed,
        "model": {
            "dtype": settings.dtype,
            "attention": settings.attention,
            "device": device_info(settings.device)["type"],
            "threads": settings.threads,
            "merge_dtype": template.dtype,
            "out_dtype": template.out_dtype,
        },
    }


def run_manifest(prepared: Prepared) -> dict[str, Any]:
    """What the run is, for people, reports and exports; README lists the fields."""
    assembly, config = prepared.assembly, prepared.assembly.config
    suite, template = assembly.suite, assembly.template
    metrics = {task: sorted(k for k in suite.metrics if k.rpartition(".")[0] == task) for task in suite.items["search"]}
    items = {split: {task: list(ids) for task, ids in tasks.items()} for split, tasks in suite.items.items()}
    command = [*(config.command or ("evomerge", "search"))]
    if not any(word.startswith("run_dir=") for word in command) and len(command) > 1:
        command.append(f"run_dir={prepared.folder}")
    return {
        "created_by": f"evomerge {evomerge.__version__}",
        "command": command,
        "config": config.to_json(),
        "method": {
            "name": template.method,
            "options": dict(template.options),
            "summary": assembly.method.summary,
            "paper": assembly.method.paper,
        },
        "models": [_model(ref, assembly) for ref in template.models],
        "base": _model(assembly.known(config.base), assembly) if config.base else None,
        "genome": {
            "settings": _plain(config.genome),
            "n_var": assembly.spec.n_var,
            "labels": list(assembly.spec.labels),
            "groups": [group.to_json() for group in assembly.spec.groups],
        },
        "starts": list(assembly.start_names),
        "objectives": [objective.to_json() for objective in assembly.objectives],
        "constraints": [constraint.to_json() for constraint in assembly.constraints],
        "tasks": {
            task: {"items": {split: len(items[split][task]) for split in SPLITS}, "metrics": keys}
            for task, keys in metrics.items()
        },
        "items": items,
        "content": dict(suite.content),
        "seeds": {
            "root": config.seed,
            **{name: child_seed(config.seed, name) for name in ("search", "sample", "masks")},
        },
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}},
        "device": device_info(prepared.settings.device),
        "threads": prepared.settings.threads,
        "budgets": {"evaluations": config.evaluations, **asdict(config.budgets)},
        "warnings": list(assembly.warnings),
    }


def repeat_command(manifest: Mapping[str, Any]) -> str:
    """The command that repeats or continues a run."""
    return shlex.join(manifest.get("command") or ())


def _executor(assembly: Assembly, settings: WorkerSettings) -> Executor:
    chosen = assembly.config.executor
    if chosen.name == "processes":
        return processes(functools.partial(Worker, settings), chosen.workers)
    return in_process(lambda: Worker(settings, assembly.suite))


def _threads(config: RunConfig) -> int:
    """Threads per worker: as told, else as the run began with, else one for processes and all cores for one worker."""
    if config.model.threads is not None:
        return config.model.threads
    if config.run_dir:
        try:
            return int(RunStore.read(config.run_dir).manifest["threads"])
        except (InputError, KeyError):
            pass
    # Not the cores divided by the workers: sums depend on the threads, so a run must not change with its workers.
    return 1 if config.executor.name == "processes" else len(os.sched_getaffinity(0))


def _items(suite: TaskSuite) -> dict[str, Any]:
    return {
        item: {"task": task, "split": split, **suite.describe(item)}
        for split, tasks in suite.items.items()
        for task, ids in tasks.items()
        for item in ids
    }


def _tokenizer_digest(assembly: Assembly) -> str:
    """The files that turn text into tokens: they change scores as much as weights do."""
    digest = hashlib.sha256()
    folder = assembly.sources.reference.path
    for path in sorted(folder.iterdir()):
        if path.name.startswith(("tokenizer", "vocab", "merges", "special_tokens", "chat_template")) and path.is_file():
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _model(ref: CheckpointRef, assembly: Assembly) -> dict[str, Any]:
    return {"label": ref.label, **ref.to_json(), "license": licence_of(assembly.sources[ref].path)}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
