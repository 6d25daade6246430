"""``evomerge search -m``: one search for every combination of swept values, through Hydra's own multirun.

Hydra's sweeper forms the jobs and its launcher starts them, so launcher plug-ins work. Each job is a process of its own
with a folder of its own: one that fails, or is killed, stops no other. Run again, finished jobs are skipped.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any, Self

import hydra
from hydra.core.hydra_config import HydraConfig

from evomerge.app import compose, keys, overrides
from evomerge.app.config import RunConfig
from evomerge.app.overrides import Override
from evomerge.app.summary import summarise
from evomerge.errors import InputError

DONE, INTERRUPTED = 0, 130
_NOTES = "jobs"  # the sweep's folder of one small JSON file per job
_TAIL = 20  # lines of a failed job's messages that are kept
# What may change between two starts of a sweep without making it another one.
_LOOSE = ("evaluations", "budgets", "executor", "progress", "confirm", "run_dir")


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


def run(words: Sequence[str]) -> int:
    """Runs a sweep.

    Args:
        words: The command line after the verb, without ``-m``.

    Returns:
        The exit code: 0 where every job is finished, 1 where any failed, 130 after an interrupt.

    Raises:
        InputError: With everything that is wrong with any job, before the first one starts.
    """
    folder, jobs, hydra_words = plan(words)
    print(f"{len(jobs)} jobs in {folder}", flush=True)
    by_values = {job.values: job for job in jobs}
    notes = folder / _NOTES

    with _Forwarded() as forwarded:

        def run_one(_: Any) -> int:
            job = by_values[_values(HydraConfig.get().overrides.task)]
            return _run_job(job, notes, forwarded)

        _through_hydra(run_one, hydra_words)
    return summarise(folder, jobs, interrupted=forwarded.count > 0)


def plan(words: Sequence[str]) -> tuple[Path, list[Job], list[str]]:
    """What a sweep will do.

    Args:
        words: The command line after the verb, without ``-m``.

    Returns:
        The sweep's folder, its jobs, and the words that make Hydra form the same jobs.

    Raises:
        InputError: With everything that is wrong with any job.
    """
    found, problems = overrides.read(words, keys.SEARCH, keys.groups(), sweeps=True)
    found = compose.expanded(found, problems)
    found = list({override.key: override for override in found}.values())  # the last word on a key counts
    if not problems and not any(override.sweep for override in found):
        problems.append("-m: no key has several values; write for example seed=0,1,2")
    configs: list[tuple[list[Override], RunConfig]] = []
    for chosen in overrides.jobs(found):
        try:
            configs.append((chosen, compose.resolve(chosen, [])))
        except InputError as error:
            problems += [problem for problem in error.problems if problem not in problems]
    if problems:
        raise InputError(problems)
    folder = Path(configs[0][1].run_dir or f"runs/sweep-{_identity(found)}").expanduser()
    swept = sorted(override.key for override in found if override.sweep)
    jobs = [_job(chosen, config, swept, folder) for chosen, config in configs]
    names = [job.name for job in jobs]
    if len(set(names)) < len(names):
        raise InputError([f"-m: {name} comes twice" for name in sorted({n for n in names if names.count(n) > 1})])
    own = [word for word in words if re.match(r"^\+{0,2}hydra[./]", word)]
    hydra_words = [_hydra_word(override) for override in found if override.key != "run_dir"]
    return folder, jobs, [*hydra_words, f"hydra.sweep.dir={overrides.written(str(folder))}", *own]


def finished(config: RunConfig) -> bool:
    """Whether a run's folder holds this very configuration, finished."""
    folder = Path(config.run_dir or "").expanduser()
    try:
        status = json.loads((folder / "status.json").read_text(encoding="utf-8"))
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(status.get("finished")) and manifest.get("config") == json.loads(json.dumps(config.to_json()))


class _Forwarded:
    """Hands interrupts on to the running job, which finishes its batch; no further job starts.

    Jobs are process groups of their own: an interrupt from the terminal reaches them once, through here.
    """

    def __init__(self) -> None:
        self.count = 0
        self.child: subprocess.Popen[str] | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._came)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _came(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.child is not None:
            self.child.send_signal(number)


def _run_job(job: Job, notes: Path, forwarded: _Forwarded) -> int:
    if forwarded.count:
        return INTERRUPTED
    if finished(job.config):
        print(f"{job.name}: finished already", flush=True)
        return DONE
    print(f"{job.name}: evomerge search {shlex.join(job.words)}", flush=True)
    started = time.monotonic()
    command = [sys.executable, "-m", "evomerge", "search", *job.words]
    tail: deque[str] = deque(maxlen=_TAIL)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace", process_group=0) as child:
        forwarded.child = child
        assert child.stderr is not None
        for line in child.stderr:
            sys.stderr.write(line)
            tail.append(line.rstrip("\n"))
    forwarded.child = None
    seconds = round(time.monotonic() - started, 1)
    note = {"words": list(job.words), "code": child.returncode, "seconds": seconds, "messages": list(tail)}
    (notes / f"{job.name}.json").write_text(json.dumps(note, indent=1), encoding="utf-8")
    return child.returncode


def _through_hydra(task: Callable[[Any], int], words: Sequence[str]) -> None:
    """Lets Hydra form and launch the jobs; it takes its words from ``sys.argv`` alone."""
    before = sys.argv
    sys.argv = ["evomerge", "--multirun", *words]
    try:
        hydra.main(version_base="1.3", config_path=str(keys.conf_folder()), config_name=compose.CONFIG)(task)()
    finally:
        sys.argv = before


def _job(chosen: Sequence[Override], config: RunConfig, swept: Sequence[str], folder: Path) -> Job:
    value = {override.key: override.value for override in chosen}
    name = "_".join(_part(key, value[key]) for key in swept)
    run_dir = str(folder / name)
    words = [f"{override.key}={overrides.written(override.value)}" for override in chosen if override.key != "run_dir"]
    words.append(f"run_dir={overrides.written(run_dir)}")
    config = replace(config, run_dir=run_dir, command=("evomerge", "search", *words))
    return Job(name, tuple(words), config, _canonical(chosen))


def _part(key: str, value: Any) -> str:
    """One swept value in a folder's name, for example ``seed-0``; what no folder's name can hold becomes a hash."""
    written = overrides.written(value)
    plain = re.sub(r"[^A-Za-z0-9.-]+", "-", written).strip("-.")[:40]
    exact = plain if plain == written.replace("_", "-") else f"{plain}-{_hash(written)}".lstrip("-")
    return f"{key.rpartition('.')[2]}-{exact}"


def _values(words: Sequence[str]) -> str:
    """The values that a job's words in Hydra's writing stand for."""
    found, _ = overrides.read([word.lstrip("+") for word in words], keys.SEARCH, keys.groups())
    return _canonical(found)


def _canonical(found: Sequence[Override]) -> str:
    return json.dumps({override.key: override.value for override in found if override.key != "run_dir"}, sort_keys=True)


def _identity(found: Sequence[Override]) -> str:
    """Twelve digits for what a sweep is about: its fixed values, and which keys it varies, but not how far."""
    words = [
        override.key if override.sweep else f"{override.key}={overrides.written(override.value)}"
        for override in found
        if override.key.split(".")[0] not in _LOOSE
    ]
    return _hash("\n".join(sorted(words)), 12)


def _hash(text: str, digits: int = 8) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def _hydra_word(override: Override) -> str:
    values = override.value if override.sweep else (override.value,)
    written = ",".join(overrides.written(value) for value in values)
    # Hydra's own configuration knows no keys below a free mapping, so every value may add its key.
    return f"{override.key}={written}" if override.group else f"++{override.key}={written}"
