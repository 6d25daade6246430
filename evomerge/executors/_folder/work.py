"""The folder that driver and workers of a run meet in: which file means what.

    work/jobs/N-TOKEN.list          jobs under the digests that follow from them, and the drafts that they refer to
    work/jobs/DIGEST.claim          the worker that has taken the job
    work/jobs/DIGEST.result         how the job ended
    work/jobs/DIGEST.done           the same, when it has been recorded; it stays until the job's list is removed
    work/workers/NAME.alive         one worker; its time is its last sign of life
    work/workers/NAME.json          what it is doing, for people

Lists are written, and removed, by the driver alone; they never change. A claim is a second name of its worker's file
``NAME.alive``: names are granted once, and one new time a few times in a minute renews all claims of a worker. To see
what is to be done, one folder is listed.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evomerge.lease import create_in_place, file_system_time, has_ended, this_process
from evomerge.texts import write_text

__all__ = ["Signature", "WorkFolder"]

_LIST, _CLAIM, _RESULT, _DONE, _ALIVE, _STATE = ".list", ".claim", ".result", ".done", ".alive", ".json"


@dataclass(frozen=True)
class Signature:
    """A worker as its claims name it.

    Attributes:
        name: Its name and a token: a worker that is started again is another one.
        text: What stands in its file and in its claims.
    """

    name: str
    text: str

    @classmethod
    def of(cls, name: str) -> Signature:
        """The signature of this process as a worker of that name."""
        process = this_process()
        whole = f"{name}.{process['token']}"
        return cls(whole, json.dumps({"worker": whole, **process}))


@dataclass(frozen=True)
class WorkFolder:
    """The files; a path and no more, so that each look is a fresh one.

    Attributes:
        folder: ``work`` inside the run's folder.
    """

    folder: Path

    @property
    def jobs(self) -> Path:
        """Where lists, claims and results lie."""
        return self.folder / "jobs"

    @property
    def workers(self) -> Path:
        """Where workers say that they are alive."""
        return self.folder / "workers"

    def make(self) -> None:
        """Makes the folders."""
        self.jobs.mkdir(parents=True, exist_ok=True)
        self.workers.mkdir(parents=True, exist_ok=True)

    def names(self) -> set[str]:
        """Names of all lists, claims and results; none where nobody has made the folder yet."""
        try:
            return {name for name in os.listdir(self.jobs) if not name.startswith(".")}  # noqa: PTH208 - names alone
        except FileNotFoundError:
            return set()

    # Lists

    def write_list(self, content: Mapping[str, Any]) -> str:
        """Writes a list after all that are there; gives its name, which no other list has or had."""
        number = max((int(name.partition("-")[0]) for name in self.lists(self.names())), default=0) + 1
        name = f"{number:06}-{secrets.token_hex(4)}"
        write_text(self._list(name), json.dumps(content, separators=(",", ":")))
        return name

    def read_list(self, name: str) -> Mapping[str, Any] | None:
        """A list; None when it has been removed, or is not what was written: a machine lost power then."""
        return _read(self._text(self._list(name)) or "") or None

    def has_list(self, name: str) -> bool:
        """Whether a list is there."""
        return self._list(name).exists()

    def remove_list(self, name: str) -> None:
        """Removes a list: nothing of it is to be done any more."""
        self._list(name).unlink(missing_ok=True)

    @staticmethod
    def lists(names: Iterable[str]) -> Sequence[str]:
        """The lists among some names, in the order in which they were written."""
        return sorted(name.removesuffix(_LIST) for name in names if name.endswith(_LIST))

    def _list(self, name: str) -> Path:
        return self.jobs / f"{name}{_LIST}"

    # Claims

    @staticmethod
    def claimed(names: Iterable[str]) -> set[str]:
        """Digests of the jobs that are claimed."""
        return {name.removesuffix(_CLAIM) for name in names if name.endswith(_CLAIM)}

    def claim(self, key: str, worker: Signature) -> bool:
        """Claims a job for a worker; False where another one was faster."""
        path = self._claim(key)
        try:
            path.hardlink_to(self._alive(worker.name))
        except FileExistsError:
            # Over a network an answer may be lost and the question repeated.
            return self._text(path) == worker.text
        except FileNotFoundError:
            return False  # the folder is gone, or this worker counts as dead: its next sign of life puts that right
        except OSError:  # a file system without second names, or one that has granted as many as it can
            return create_in_place(path, worker.text) or self._text(path) == worker.text
        return True

    def holds(self, key: str, worker: Signature) -> bool:
        """Whether a claim is a worker's own."""
        return self._text(self._claim(key)) == worker.text

    def release(self, key: str, worker: Signature) -> None:
        """Gives a job back, if its claim is the worker's own."""
        if self.holds(key, worker):
            self._claim(key).unlink(missing_ok=True)

    def holder(self, key: str) -> str | None:
        """Name of the worker that holds a claim; None where there is none, empty where it does not say."""
        text = self._text(self._claim(key))
        return None if text is None else _read(text).get("worker", "")

    def age(self, key: str) -> float:
        """Seconds since a claim was renewed, by the clock of the file system; none where there is no claim."""
        return self._age(self._claim(key))

    def take_away(self, key: str, name: str) -> bool:
        """Takes a claim from a worker that is gone; False where it is another's by now."""
        aside = self.jobs / f".{key}.{secrets.token_hex(4)}.tmp"
        try:
            self._claim(key).rename(aside)
        except FileNotFoundError:
            return True
        taken = _read(self._text(aside) or "").get("worker", "") == name
        if not taken:
            try:
                self._claim(key).hardlink_to(aside)
            except OSError:
                create_in_place(self._claim(key), self._text(aside) or "")
        aside.unlink(missing_ok=True)
        return taken

    def clear(self, key: str) -> None:
        """Removes the claim of a job, whoever's it is, and what has been recorded of it: it may be asked once more."""
        self._claim(key).unlink(missing_ok=True)
        self._done(key).unlink(missing_ok=True)

    def _claim(self, key: str) -> Path:
        return self.jobs / f"{key}{_CLAIM}"

    # Results

    @staticmethod
    def ended(names: Iterable[str]) -> set[str]:
        """Digests of the jobs that have a result which has not been recorded."""
        return {name.removesuffix(_RESULT) for name in names if name.endswith(_RESULT)}

    @staticmethod
    def done(names: Iterable[str]) -> set[str]:
        """Digests of the jobs that have been recorded."""
        return {name.removesuffix(_DONE) for name in names if name.endswith(_DONE)}

    def write_result(self, key: str, text: str) -> None:
        """Writes a result, in one step, unless the run is over or has been removed; an equal one is replaced."""
        with contextlib.suppress(FileNotFoundError):
            self.jobs.stat()  # which, unlike `is_dir`, does not say no where the file system is away for a moment
            write_text(self._result(key), text)

    def read_result(self, key: str) -> str | None:
        """The text of a result; None where there is none."""
        return self._text(self._result(key))

    def record(self, key: str) -> None:
        """Marks a result as recorded."""
        with contextlib.suppress(FileNotFoundError):
            self._result(key).rename(self._done(key))

    def remove_result(self, key: str) -> None:
        """Removes a result."""
        self._result(key).unlink(missing_ok=True)

    def _done(self, key: str) -> Path:
        return self.jobs / f"{key}{_DONE}"

    def _result(self, key: str) -> Path:
        return self.jobs / f"{key}{_RESULT}"

    # Workers

    def sign(self, worker: Signature) -> None:
        """A worker's first sign of life, and another one if it was taken for dead."""
        self.make()
        write_text(self._alive(worker.name), worker.text)

    def renew(self, worker: Signature) -> None:
        """A worker's further signs of life, which renew its claims."""
        try:
            os.utime(self._alive(worker.name))
        except FileNotFoundError:
            if self.workers.is_dir():  # else the run has been removed, and stays so
                self.sign(worker)

    def say(self, worker: Signature, state: Mapping[str, Any]) -> None:
        """Tells people what a worker is doing. Not waited for: nothing depends on it."""
        path = self.workers / f"{worker.name}{_STATE}"
        draft = path.with_name(f".{path.name}.tmp")
        draft.write_text(json.dumps(state), encoding="utf-8")
        draft.replace(path)

    def said(self) -> list[Mapping[str, Any]]:
        """The last words of every worker that is not known to be dead."""
        found = (_read(self._text(path) or "") for path in sorted(self.workers.glob(f"*{_STATE}")))
        return [state for state in found if state]

    def signs(self) -> list[Path]:
        """The files of all workers that have joined and are not known to have left."""
        return sorted(self.workers.glob(f"*{_ALIVE}"))

    def knows(self, name: str) -> bool:
        """Whether a worker of that name has joined and is not known to have left."""
        return bool(name) and self._alive(name).exists()

    def remove_worker(self, name: str) -> None:
        """Forgets a worker that has left, or is dead."""
        (self.workers / f"{name}{_STATE}").unlink(missing_ok=True)
        self._alive(name).unlink(missing_ok=True)

    def dead(self, grace: float) -> set[str]:
        """Names of the workers that have ended without a word.

        One of this machine is seen to have ended. Of another machine it is known when it has given no sign of life for
        ``grace`` seconds, by the clock of the file system, which all machines share.
        """
        mine, found = this_process(), set()
        silent: dict[str, float] = {}
        for path in self.signs():
            name, text = path.name.removesuffix(_ALIVE), self._text(path)
            ended = has_ended(_read(text or ""), mine)
            if ended:
                found.add(name)
            elif ended is None and text is not None:
                # Opened just now: a network file system asks its server for the time of a file that is opened.
                with contextlib.suppress(FileNotFoundError):
                    silent[name] = path.stat().st_mtime
        if silent:
            now = file_system_time(self.workers)
            found |= {name for name, time in silent.items() if now - time > grace}
        return found

    def _alive(self, name: str) -> Path:
        return self.workers / f"{name}{_ALIVE}"

    def _age(self, path: Path) -> float:
        try:
            return file_system_time(self.workers) - path.stat().st_mtime
        except FileNotFoundError:
            return 0.0

    @staticmethod
    def _text(path: Path) -> str | None:
        try:
            return path.read_text(encoding="utf-8")
        except (FileNotFoundError, UnicodeDecodeError):
            return None


def _read(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
