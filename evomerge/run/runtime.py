"""How workers run their model: number type, threads, shared prefixes; as told, as the run began, or measured.

And what they are compared with before they run it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from evomerge import executors, kernels
from evomerge.candidate import (
    ANSWERS,
    CollectedStatistics,
    KnownAnswers,
    Tuning,
    Verification,
    WorkerSettings,
    available_cores,
    companion_digests,
    library_versions,
    resolve_dtype,
    suite_digest,
    thread_choices,
    tune,
    with_tuning,
)
from evomerge.checkpoints import folder_of
from evomerge.errors import InputError
from evomerge.evaluation import UNIFORM
from evomerge.fitness import PLAINLY, WHOLE
from evomerge.merging import PreparedSettings
from evomerge.run import environment
from evomerge.run.assemble import Assembly
from evomerge.run.run_config import RunConfig, fitness_settings
from evomerge.store import RunStore

ASYNCHRONOUS = 0.01  # of a log-likelihood: how far workers may differ where batches do not wait for each other


def worker_settings(assembly: Assembly, threads: int) -> WorkerSettings:
    """The settings of the workers."""
    model, checkpoints = assembly.config.model, assembly.checkpoints
    reference = next(ref for ref, checkpoint in checkpoints.by_ref.items() if checkpoint is checkpoints.reference)
    return WorkerSettings(
        reference=reference,
        folders=tuple((ref, str(folder_of(checkpoint))) for ref, checkpoint in checkpoints.by_ref.items()),
        fitness=fitness_settings(assembly.config.fitness, assembly.config.seed),
        items=suite_digest(assembly.suite),
        dtype=model.dtype,
        attention=assembly.attention,
        quantise=model.quantise,
        device=assembly.device,
        device_map=model.device_map,
        max_memory=model.max_memory,
        threads=threads,
        trust_remote_code=model.trust_remote_code,
        functions=assembly.functions,
        prepared=PreparedSettings(None, model.prepared_disk, model.prepared_memory),
        statistics=_statistics(assembly),
        candidate=next(iter(assembly.baselines.values())) if assembly.has_own_tokens else None,
    )


def _statistics(assembly: Assembly) -> CollectedStatistics | None:
    """Where workers find what candidates read; None where they read none."""
    keys, folder = assembly.template.statistics, assembly.config.statistics.path.absolute()
    return CollectedStatistics(str(folder), tuple(dict.fromkeys(keys))) if keys else None


def tuned(
    settings: WorkerSettings, assembly: Assembly, folder: Path, say: Callable[[str], None]
) -> tuple[WorkerSettings, tuple[str, ...]]:
    """Settles how models are run: as told, else as the run began, else as short measurements say; and what to know."""
    model, suite = assembly.config.model, assembly.suite
    with contextlib.suppress(InputError, KeyError):
        # Of runs that began before they were recorded, nothing was shared.
        manifest = RunStore.read(folder).manifest
        began, notes = (
            manifest["identity"],
            tuple(text for text in manifest.get("warnings", ()) if WHOLE in text or PLAINLY in text),
        )
        tuning = Tuning(int(began["model"]["threads"]), str(began["fitness"].get("prefixes", "plain")))
        dtype = str(began["model"]["dtype"]) if model.dtype == "auto" else model.dtype
        attention = str(began["model"]["attention"]) if model.attention == "auto" else model.attention
        settings = _with_drafts(settings, assembly, str(began["fitness"].get("drafts", "off")))
        return _told(with_tuning(replace(settings, dtype=dtype, attention=attention), tuning), assembly), notes
    settings = _with_drafts(settings, assembly, "auto" if assembly.suite.generates else "off")
    reference = assembly.checkpoints.reference
    settings = replace(settings, dtype=resolve_dtype(model.dtype, reference, assembly.device))
    if not executors.load(assembly.config.executor.name).needs_model:
        return _told(with_tuning(settings, Tuning(1, "plain")), assembly), ()
    if (used := kernels.in_use(assembly.device)).name == "torch":
        say(used.reason)
    cores, workers = available_cores(), _workers(assembly)
    choices = (model.threads,) if model.threads else thread_choices(cores, workers)
    if not settings.has_tasks:  # and so no pass of the model to measure
        return _told(with_tuning(settings, Tuning(choices[0], "plain")), assembly), ()
    say("measuring how to run the model here")
    tuning = tune(settings, suite, choices)
    environment.give_back_memory()  # of the model that was measured: a worker in this process loads its own
    say(tuning.describe(settings.dtype, cores, workers))
    return _told(with_tuning(settings, tuning), assembly), tuning.notes


def _told(settings: WorkerSettings, assembly: Assembly) -> WorkerSettings:
    """The user's own settings, which precede measured and recorded ones."""
    threads = assembly.config.model.threads or settings.threads
    prefixes = assembly.config.fitness.prefixes
    fitness = settings.fitness if prefixes == "auto" else replace(settings.fitness, prefixes=prefixes)
    return replace(settings, threads=threads, fitness=fitness)


def _with_drafts(settings: WorkerSettings, assembly: Assembly, otherwise: str) -> WorkerSettings:
    """Whether candidates verify what earlier ones wrote: not where the user says so, or nobody writes."""
    runs_models = executors.load(assembly.config.executor.name).needs_model
    drafts = otherwise if runs_models and assembly.config.fitness.drafts == "auto" else "off"
    return replace(settings, fitness=replace(settings.fitness, drafts=drafts))


def _workers(assembly: Assembly) -> int:
    """Workers at one time. The threads of a worker must not follow this number once a run has begun."""
    chosen = assembly.config.executor
    return executors.load(chosen.name).workers(chosen, assembly.device)


def with_verification(settings: WorkerSettings, assembly: Assembly, folder: Path) -> WorkerSettings:
    """Settings of workers that are verified before their first candidate.

    The known candidate is the uniform average, which exercises merging, else another baseline. Libraries and files are
    those of this process, which are what the manifest and the identity of a run that it begins or goes on with say.

    Args:
        settings: The settings; the references in them have fingerprints.
        assembly: What the run is made of.
        folder: The run's folder.

    Raises:
        InputError: If the answers that lie there are damaged.
    """
    if not executors.load(assembly.config.executor.name).needs_model:
        return settings
    recipes = sorted(assembly.baselines.items(), key=lambda named: named[0] != UNIFORM)
    verification = Verification(
        folder=str(folder.absolute()),
        recipes=tuple(recipes),
        tolerance=tolerance_of(assembly.config),
        exact_alike=assembly.config.model.tolerance is None,
        versions=library_versions(),
        files=companion_digests(assembly.checkpoints.reference),
        stamps=tuple(assembly.stamps.items()),
        known=KnownAnswers.read(folder / ANSWERS),
    )
    return replace(settings, verification=verification)


def tolerance_of(config: RunConfig) -> float:
    """How far answers to a known candidate may differ: as told, else not at all where records are to be equal.

    Without batches the order in which candidates come back decides what is asked next, so that runs differ anyhow; but
    where nobody told, workers of equal circumstances give equal answers there too.
    """
    told = config.model.tolerance
    return told if told is not None else ASYNCHRONOUS if config.asynchronous else 0.0
