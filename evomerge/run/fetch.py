"""Everything that a search reads, brought onto this machine, so that the search itself needs no network."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from evomerge.checkpoints import folder_of, hub
from evomerge.errors import InputError
from evomerge.fitness import forget_tables
from evomerge.run.assemble import assemble
from evomerge.run.run_config import RunConfig

_VARIABLES = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE", "TRANSFORMERS_OFFLINE")


@dataclass(frozen=True)
class Fetched:
    """Everything that lies on this machine now.

    Attributes:
        models: Folder by model, as the user wrote it.
        tasks: Number of items by task.
        new: Files that came from the hub, by repository.
    """

    models: dict[str, Path]
    tasks: dict[str, int]
    new: dict[str, list[Path]]


def fetch(config: RunConfig) -> Fetched:
    """Fetches models, data sets and metrics, and checks all of them as a search does before it starts.

    What the cache holds already is not fetched again, and a download that was cut off goes on where it stopped. Every
    file that came is compared with the hash that the hub announced, and removed where it is another.

    Args:
        config: The search's.

    Raises:
        InputError: With everything that could not be fetched, or that the search would refuse.
    """
    if closed := [name for name in _VARIABLES if os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE")]:
        raise InputError(
            f"{', '.join(closed)} forbids the hub; fetching needs it: unset {'it' if not closed[1:] else 'them'}"
        )
    before = hub.files_in_cache()
    problems: list[str] = []
    assembly = None
    try:
        assembly = assemble(replace(config, offline=False, run_dir=None))
    except InputError as error:
        problems += error.problems
    new = sorted(hub.files_in_cache() - before)
    wrong = hub.damaged(new)
    if wrong:
        for repository in _by_repository(new):  # of models there are none
            forget_tables(repository)
    if assembly is None or wrong:
        raise InputError([*problems, *wrong])
    models = {ref.source: folder_of(source) for ref, source in assembly.checkpoints.by_ref.items()}
    tasks = {task: len(benchmark.items) for task, benchmark in assembly.suite.benchmarks.items()}
    return Fetched(models, tasks, _by_repository(new))


def _by_repository(files: Iterable[Path]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for file in files:
        found.setdefault(hub.repository(file), []).append(file)
    return found
