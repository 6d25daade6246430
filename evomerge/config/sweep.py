"""The jobs of a sweep: which searches ``search -m`` stands for, and where each has its folder."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evomerge import executors
from evomerge.config import compose, groups, overrides, parse, schema
from evomerge.config.parse import Override
from evomerge.errors import InputError
from evomerge.run.paths import expanded, is_folder
from evomerge.run.run_config import RunConfig
from evomerge.store.sweep import NOTES

# What may change between two starts of a sweep without making it another one.
_LOOSE = (
    "evaluations", "budgets", "executor", "progress", "promote", "confirm", "run_dir", "tracking", "tracking_options",
    "model.tolerance",
)  # fmt: skip


@dataclass(frozen=True)
class Job:
    """One search of a sweep.

    Attributes:
        name: Its folder inside the sweep's.
        words: Its command line after the verb, with its folder.
        config: What the words mean.
        values: The same in a form to compare by.
    """

    name: str
    words: tuple[str, ...]
    config: RunConfig
    values: str


@dataclass(frozen=True)
class Plan:
    """The plan of a sweep.

    Attributes:
        folder: Its folder.
        jobs: Its jobs.
        hydra_words: Words that make Hydra form the same jobs.
        keys: The keys with several values.
    """

    folder: Path
    jobs: tuple[Job, ...]
    hydra_words: tuple[str, ...]
    keys: tuple[str, ...]


def plan(words: Sequence[str]) -> Plan:
    """The plan of a sweep.

    Args:
        words: The command line after the verb, without ``-m``.

    Raises:
        InputError: With everything that is wrong with any job.
    """
    found, problems = parse.read(words, schema.SEARCH, groups.groups(), sweeps=True)
    found = overrides.expanded(found, problems)
    found = list({override.key: override for override in found}.values())  # the last word on a key counts
    if not problems and not any(override.sweep for override in found):
        problems.append("-m: no key has several values; write for example seed=0,1,2")
    problems += [
        "run_dir: a sweep has one folder, each of its jobs one inside"
        for override in found
        if override.key == "run_dir" and override.sweep
    ]
    configs: list[tuple[list[Override], RunConfig]] = []
    for chosen in parse.jobs(found):
        try:
            configs.append((chosen, compose.resolve(chosen, [])))
        except InputError as error:
            problems += [problem for problem in error.problems if problem not in problems]
    own = [word for word in words if re.match(r"^\+{0,2}hydra[./]", word)]
    problems += compose.hydra_problems(own)
    if problems:
        raise InputError(problems)
    folder = expanded(configs[0][1].run_dir or f"runs/sweep-{_identity(found)}")
    if is_folder(folder) and any(folder.iterdir()) and not is_folder(folder / NOTES):
        raise InputError(f"run_dir: {folder} is not a sweep's folder and is not empty; choose another")
    swept = sorted(override.key for override in found if override.sweep)
    jobs = [_job(chosen, config, swept, folder) for chosen, config in configs]
    if without := _without_workers(jobs):
        raise InputError(without)
    names = [job.name for job in jobs]
    if len(set(names)) < len(names):
        raise InputError([f"-m: {name} comes twice" for name in sorted({n for n in names if names.count(n) > 1})])
    hydra_words = [_hydra_word(override) for override in found if override.key != "run_dir"]
    hydra_words += [f"hydra.sweep.dir={parse.written(str(folder))}", *own]
    return Plan(folder, tuple(jobs), tuple(hydra_words), tuple(swept))


def _job(chosen: Sequence[Override], config: RunConfig, swept: Sequence[str], folder: Path) -> Job:
    value = {override.key: override.value for override in chosen}
    name = "_".join(_part(key, value[key]) for key in swept)
    run_dir = str(folder / name)
    words = [f"{override.key}={parse.written(override.value)}" for override in chosen if override.key != "run_dir"]
    words.append(f"run_dir={parse.written(run_dir)}")
    config = replace(config, run_dir=run_dir, command=("evomerge", "search", *words))
    return Job(name, tuple(words), config, _canonical(chosen))


def _without_workers(jobs: Sequence[Job]) -> list[str]:
    """Why jobs would wait for ever: of executors whose workers join a run by its folder, which no job's is told to."""
    found = next((job for job in jobs if executors.load(job.config.executor.name).external), None)
    if found is None:
        return []
    name = found.config.executor.name
    own = shlex.join(word for word in found.words if word != f"executor={name}" and word != f"executor.name={name}")
    return [
        f"executor={name}: workers join one run by its folder, so nobody would work at the jobs of a sweep; leave it "
        "out or take executor=processes, or hand each job to workers of its own, such as the first: "
        f"evomerge submit {own}"
    ]


def _part(key: str, value: Any) -> str:
    """One swept value in a folder's name, for example ``seed-0``; what no folder's name can hold becomes a hash."""
    written = parse.written(value)
    plain = re.sub(r"[^A-Za-z0-9.-]+", "-", written).strip("-.")[:40]
    exact = plain if plain == written.replace("_", "-") else f"{plain}-{_hash(written)}".lstrip("-")
    return f"{key.rpartition('.')[2]}-{exact}"


def values_of(words: Sequence[str]) -> str:
    """The meaning of a job's words in Hydra's writing, in the form of :attr:`Job.values`."""
    found, _ = parse.read([word.lstrip("+") for word in words], schema.SEARCH, groups.groups())
    return _canonical(found)


def _canonical(found: Sequence[Override]) -> str:
    return json.dumps({override.key: override.value for override in found if override.key != "run_dir"}, sort_keys=True)


def _identity(found: Sequence[Override]) -> str:
    """Twelve digits for what a sweep is about: its fixed values, and which keys it varies, but not how far."""
    words = [
        override.key if override.sweep else f"{override.key}={parse.written(override.value)}"
        for override in found
        if not {override.key, override.key.split(".")[0]} & set(_LOOSE)
    ]
    return _hash("\n".join(sorted(words)), 12)


def _hash(text: str, digits: int = 8) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def _hydra_word(override: Override) -> str:
    values = override.value if override.sweep else (override.value,)
    written = ",".join(parse.written(value) for value in values)
    # Hydra's own configuration knows no keys below a free mapping, so every value may add its key.
    return f"{override.key}={written}" if override.group else f"++{override.key}={written}"
