"""Memory and disk that a search takes, from headers and task files alone."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from evomerge import executors
from evomerge.candidate import device_rooms, place_of, resolve_dtype
from evomerge.evaluation import SPLITS
from evomerge.fitness import ModelTraits, Scorer, packed_bytes
from evomerge.merging import Blueprint, PreparedSettings, footprint, shares
from evomerge.recipe import Recipe
from evomerge.run.assemble import Assembly
from evomerge.run.forecast.elites import KeptElites, kept_elites
from evomerge.run.paths import expanded
from evomerge.run.recipes.rounds import path_genes
from evomerge.run.recipes.searching import adds_pushes
from evomerge.run.statistics.forecast import CollectionForecast, forecast
from evomerge.search.searchers import Push, with_pushes


@dataclass(frozen=True)
class Requirements:
    """Bytes that a search takes.

    Attributes:
        worker: Memory of one worker, the sum of the next five and of what is kept on ``disk`` and in ``memory``, models
            of elites too.
        program: The program itself.
        live: The live model.
        working: Merging, of elites that have no model yet too.
        scoring: Scoring.
        mapped: The checkpoints, and the statistics that the method prepares from. Base, experts and their average are
            scored too: whatever the method needs, all checkpoints are mapped.
        prepared: What the method prepares: on ``disk``, in ``memory``, and what finds room ``nowhere``.
        workers: Number of workers.
        together: Memory of all workers, which share what is mapped.
        exported: Disk of one exported member.
        free: Free disk where the run's folder is.
        devices: Bytes of weights by device, of a model whose layers are spread over several.
        rooms: Bytes of memory that each of these devices has, of GPUs.
        elites: Models of elites of later rounds.
        collected: Cost of collecting what candidates read; None where they read nothing.
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
    devices: Mapping[str, int] = field(default_factory=dict)
    rooms: Mapping[str, int] = field(default_factory=dict)
    elites: KeptElites = field(default_factory=KeptElites)
    collected: CollectionForecast | None = None


def requirements(assembly: Assembly) -> Requirements:
    """Predicts memory and disk; nothing is scored and no weights are read."""
    model, executor = assembly.config.model, assembly.config.executor
    workers = executors.load(executor.name).workers(executor, assembly.device)
    dtype = resolve_dtype(model.dtype, assembly.checkpoints.reference, assembly.device)
    prepared = PreparedSettings("the run's folder", model.prepared_disk, model.prepared_memory)
    found = footprint(assembly.checkpoints, _fullest(assembly), model_dtype=dtype, prepared=prepared)
    genes = path_genes(assembly.config, assembly.checkpoints, assembly.method, assembly.spec)
    if genes is not None:  # models may be longer than those they are made of
        longest = footprint(assembly.checkpoints, genes.longest(assembly.template), model_dtype=dtype)
        found = replace(found, live=longest.live, export=longest.export)
    collected = forecast(assembly.statistics, assembly.checkpoints, assembly.config)
    read = collected.disk if collected is not None else 0
    itemsize, eager = 4 if dtype == "float32" else 2, assembly.attention == "eager"
    scoring = 0  # of functions nobody knows it
    if assembly.config.fitness.tasks:
        traits = ModelTraits.expected(assembly.suite.tokenizer, assembly.outputs.config)
        scorer = Scorer(assembly.suite, traits)
        scoring = max(scorer.predicted_bytes(split, itemsize, eager=eager) for split in SPLITS)
        scoring += packed_bytes(found.live, dtype, assembly.device) if assembly.suite.generates else 0
    elites = kept_elites(assembly, {str(place): count for place, count in found.prepared.items()})
    found = replace(found, working=found.working + elites.reading(found.working))
    return Requirements(
        worker=found.worker + scoring + read + elites.at("disk") + elites.at("memory"),
        program=found.program,
        live=found.live,
        working=found.working,
        scoring=scoring,
        mapped=found.mapped + read,
        prepared={str(place): count for place, count in found.prepared.items()},
        workers=workers,
        together=(found.own + scoring + elites.at("memory")) * workers + found.shared + read + elites.at("disk"),
        exported=found.export,
        free=_free(expanded(assembly.config.run_dir or ".")),
        available=_available(),
        devices=(devices := _devices(assembly, dtype)),
        rooms=device_rooms(devices),
        elites=elites,
        collected=collected,
    )


def _fullest(assembly: Assembly) -> Recipe:
    """A candidate with all steps that its searcher may add: CycleQD pushes towards one expert for each objective."""
    recipe = assembly.exemplar
    if recipe is not assembly.template or not adds_pushes(assembly.config):
        return recipe
    count = min(len(assembly.objectives), len(recipe.sources))
    return with_pushes(recipe, [Push(expert, 0, 1.0) for expert in range(count)], 1.0)


def _devices(assembly: Assembly, dtype: str) -> dict[str, int]:
    """Bytes of weights by device; none where the model lies on one.

    Raises:
        InputError: If the layers cannot be told, or do not fit.
    """
    model = assembly.config.model
    place = place_of(assembly.device, model.device_map, model.max_memory)
    if isinstance(place, str):
        return {}
    causal = bool(assembly.config.fitness.tasks)
    if assembly.outputs.reshaped:
        blueprint = Blueprint.of_config(assembly.outputs.config, causal=causal)
    else:
        trusted = model.trust_remote_code
        blueprint = Blueprint.of(assembly.checkpoints.reference, trust_remote_code=trusted, causal=causal)
    return shares(blueprint.model, place, 4 if dtype == "float32" else 2)


def _free(folder: Path) -> int:
    here = folder.absolute()
    return shutil.disk_usage(next(path for path in (here, *here.parents) if path.exists())).free


def _available() -> int | None:
    place = Path("/proc/meminfo")
    lines = place.read_text(encoding="ascii").splitlines() if place.is_file() else []
    found = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
    return None if found is None else 1024 * int(found)
