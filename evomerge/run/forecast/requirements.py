"""Memory and disk that a search takes, from headers and task files alone."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evomerge import executors
from evomerge.candidate import resolve_dtype
from evomerge.evaluation import SPLITS
from evomerge.fitness import ModelTraits, Scorer
from evomerge.merging import PreparedSettings, footprint
from evomerge.run.assemble import Assembly
from evomerge.run.paths import expanded


@dataclass(frozen=True)
class Requirements:
    """Bytes that a search takes.

    Attributes:
        worker: Memory of one worker, the sum of the next five and of what is kept on ``disk`` and in ``memory``.
        program: The program itself.
        live: The live model.
        working: Merging.
        scoring: Scoring.
        mapped: The checkpoints. Base, experts and their average are scored too: whatever the method needs, all
            checkpoints are mapped.
        prepared: What the method prepares: on ``disk``, in ``memory``, and what finds room ``nowhere``.
        workers: Number of workers.
        together: Memory of all workers, which share what is mapped.
        exported: Disk of one exported member.
        free: Free disk where the run's folder is.
        available: Memory that can be had without pushing out other programs; None where the system does not say.
    """

    worker: int
    program: int
    live: int
    working: int
    scoring: int
    mapped: int
    prepared: Mapping[str, int]
    workers: int
    together: int
    exported: int
    free: int
    available: int | None = None


def requirements(assembly: Assembly) -> Requirements:
    """Predicts memory and disk; nothing is scored and no weights are read."""
    model, executor = assembly.config.model, assembly.config.executor
    workers = executors.load(executor.name).workers(executor, assembly.device)
    dtype = resolve_dtype(model.dtype, assembly.checkpoints.reference, assembly.device)
    prepared = PreparedSettings("the run's folder", model.prepared_disk, model.prepared_memory)
    found = footprint(assembly.checkpoints, assembly.template, model_dtype=dtype, prepared=prepared)
    itemsize, eager = 4 if dtype == "float32" else 2, assembly.attention == "eager"
    scoring = 0  # of functions nobody knows it
    if assembly.config.fitness.tasks:
        traits = ModelTraits.expected(assembly.suite.tokenizer, assembly.outputs.config)
        scorer = Scorer(assembly.suite, traits)
        scoring = max(scorer.predicted_bytes(split, itemsize, eager=eager) for split in SPLITS)
    return Requirements(
        worker=found.worker + scoring,
        program=found.program,
        live=found.live,
        working=found.working,
        scoring=scoring,
        mapped=found.mapped,
        prepared={str(place): count for place, count in found.prepared.items()},
        workers=workers,
        together=(found.own + scoring) * workers + found.shared,
        exported=found.export,
        free=_free(expanded(assembly.config.run_dir or ".")),
        available=_available(),
    )


def _free(folder: Path) -> int:
    here = folder.absolute()
    return shutil.disk_usage(next(path for path in (here, *here.parents) if path.exists())).free


def _available() -> int | None:
    place = Path("/proc/meminfo")
    lines = place.read_text(encoding="ascii").splitlines() if place.is_file() else []
    found = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
    return None if found is None else 1024 * int(found)
