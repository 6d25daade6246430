"""A sweep's folder: the plan of its jobs, a note of each that was started, and one run's folder for each job inside."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evomerge.errors import InputError
from evomerge.store.files import write_json

PLAN = "sweep.json"
NOTES = "jobs"  # the folder of one small JSON file per job
FORMAT = 1
INTERRUPTED = 130
_RUN_DIR = "run_dir"
FINISHED, FAILED, CUT, UNFINISHED, NOT_STARTED = "finished", "failed", "interrupted", "unfinished", "not started"


@dataclass(frozen=True)
class SweepJob:
    """One job of a sweep, as its folder shows it.

    Attributes:
        name: The name of its run's folder inside the sweep's.
        words: Its command line after the verb.
        note: What was noted when it last ended: ``code``, ``seconds`` and ``messages``; empty if it never did.
        status: The run's ``status.json``; empty where there is none.
    """

    name: str
    words: tuple[str, ...]
    note: Mapping[str, Any] = field(default_factory=dict)
    status: Mapping[str, Any] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, str]:
        """Key to value as written, without the run's folder."""
        pairs = (word.partition("=") for word in self.words)
        return {key: value for key, _, value in pairs if key != _RUN_DIR}

    @property
    def state(self) -> str:
        """``finished``, ``failed``, ``interrupted``, ``unfinished`` (killed, or still at it) or ``not started``."""
        if self.status.get("finished"):
            return FINISHED
        return self.ended or (UNFINISHED if self.status else NOT_STARTED)

    @property
    def ended(self) -> str:
        """How it last ended if not well: ``failed`` or ``interrupted``; empty if it did not."""
        code = self.note.get("code")
        if code is None or code == 0:
            return ""
        # Before a job can catch interrupts, while it imports its libraries, it dies of them.
        return CUT if code in (INTERRUPTED, -signal.SIGINT, -signal.SIGTERM) else FAILED

    @property
    def reason(self) -> str:
        """The last line that a failed job said, after its exit code; empty for any other."""
        if self.ended != FAILED:
            return ""
        messages = [str(line) for line in self.note.get("messages") or ()]
        why = next((line.strip().removeprefix("- ") for line in reversed(messages) if line.strip()), "")
        return f"({self.note['code']}): {why}"


@dataclass(frozen=True)
class Sweep:
    """A sweep's jobs and the keys that it varies.

    Attributes:
        folder: Its folder.
        jobs: Its jobs, in the order planned.
        keys: The keys with several values, sorted, the seed last.
    """

    folder: Path
    jobs: tuple[SweepJob, ...]
    keys: tuple[str, ...]


def is_sweep(folder: str | Path) -> bool:
    """Whether a folder is a sweep's."""
    path = Path(folder).expanduser()
    return (path / NOTES).is_dir() and not (path / "manifest.json").exists()


def write_plan(folder: Path, keys: Iterable[str], jobs: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Adds jobs to a sweep's plan.

    Args:
        folder: The sweep's folder, which is made if it is not there.
        keys: The keys with several values.
        jobs: Name and command line after the verb of each job; those that are planned already keep their place.
    """
    before = _json(folder / PLAN)
    planned = dict(before.get("jobs") or {}) | {name: list(words) for name, words in jobs}
    varied = sorted({*(before.get("keys") or ()), *keys})
    (folder / NOTES).mkdir(parents=True, exist_ok=True)
    write_json(folder / PLAN, {"format": FORMAT, "keys": varied, "jobs": planned})


def write_note(folder: Path, name: str, note: Mapping[str, Any]) -> None:
    """Notes how a job ended, in a file of its own that is replaced in one step."""
    write_json(folder / NOTES / f"{name}.json", dict(note))


def read_job(folder: Path, name: str, words: Sequence[str]) -> SweepJob:
    """One job as its folder shows it now."""
    note, status = _json(folder / NOTES / f"{name}.json"), _json(folder / name / "status.json")
    return SweepJob(name, tuple(words), note, status)


def read_sweep(folder: str | Path) -> Sweep:
    """A sweep as its folder shows it now, also while it is running.

    Of folders without a plan, which earlier versions wrote, the jobs are those that have a note.

    Raises:
        InputError: If the folder is none of a sweep, or names no job.
    """
    path = Path(folder).expanduser()
    if not is_sweep(path):
        raise InputError(f"{path} is not the folder of a sweep: there is no folder {NOTES} in it")
    plan = _json(path / PLAN)
    words: dict[str, Sequence[str]] = dict(plan.get("jobs") or {})
    for file in sorted((path / NOTES).glob("*.json")):
        words.setdefault(file.stem, _json(file).get("words") or ())
    if not words:
        raise InputError(f"{path}: the sweep has no job yet")
    jobs = tuple(read_job(path, name, own) for name, own in words.items())
    return Sweep(path, jobs, _keys(jobs, plan.get("keys") or ()))


def _keys(jobs: Sequence[SweepJob], planned: Iterable[str]) -> tuple[str, ...]:
    """The planned keys, and those that differ between jobs that were planned one after the other."""
    values = [job.values for job in jobs]
    known = dict.fromkeys(key for of in values for key in of)
    differ = {key for key in known if len({of.get(key) for of in values}) > 1}
    return tuple(sorted({*planned, *differ} & set(known), key=lambda key: (key == "seed", key)))


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
