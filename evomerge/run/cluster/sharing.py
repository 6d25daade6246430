"""A shared run from its driver's side: what is told to those who join, and that it is over."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evomerge.errors import InputError
from evomerge.run.attach import WORK, is_shared, write_config
from evomerge.run.cluster.worker_file import write_worker
from evomerge.run.run_config import RunConfig
from evomerge.store import write_json

if TYPE_CHECKING:
    from evomerge.candidate import WorkerSettings

__all__ = ["begin", "end", "goes_on", "over", "refusal", "refusal_of", "refuse", "reopen"]

_OVER, _REFUSED = "over.json", "refused.json"


def begin(folder: Path, config: RunConfig, settings: WorkerSettings) -> None:
    """Tells workers what the run is, and that it is not over.

    Args:
        folder: The run's folder, which this process may write to.
        config: The configuration, as its user wrote it.
        settings: The settings of the workers.
    """
    reopen(folder)
    write_config(folder, config)
    write_worker(folder, settings, config.executor, offline=bool(config.offline))


def reopen(folder: Path) -> None:
    """A run that goes on is not over, whoever drives it."""
    for name in (_OVER, _REFUSED):
        (folder / WORK / name).unlink(missing_ok=True)


def refuse(folder: Path, problems: Sequence[str]) -> None:
    """Tells people, wherever they look from, why a driver on this machine was refused; until the next one begins."""
    data = {"host": socket.gethostname(), "pid": os.getpid(), "problems": list(problems)}
    write_json(folder / WORK / _REFUSED, data)


def refusal(folder: Path) -> tuple[str, tuple[str, ...]]:
    """The machine on which the last driver was refused, and why; empty where none was, or one has begun since."""
    found = _refused(folder)
    return str(found.get("host", "")), tuple(map(str, found.get("problems", ())))


def refusal_of(folder: Path, pid: int | None) -> tuple[str, ...]:
    """Why a driver on this machine was refused, as far as it could leave a word."""
    found = _refused(folder)
    if (found.get("host"), found.get("pid")) != (socket.gethostname(), pid):
        return ("why is said above",)
    return refusal(folder)[1]


def _refused(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / WORK / _REFUSED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def end(folder: Path, reason: str, *, failed: bool = False) -> None:
    """Tells workers that the run is over: they leave; and clears what they had to do.

    Args:
        folder: The run's folder.
        reason: What ended it.
        failed: Whether that is a failure, which the next driver would meet too.
    """
    write_json(folder / WORK / _OVER, {"reason": reason, "failed": failed})
    shutil.rmtree(folder / WORK / "jobs", ignore_errors=True)


def goes_on(folder: Path) -> bool:
    """Whether workers share a run that is not over: one of them drives it where nobody does."""
    return is_shared(folder) and not (folder / WORK / _OVER).exists()


def over(folder: Path) -> dict[str, Any] | None:
    """Why a run is over, as :func:`end` wrote it; None while it is not.

    Raises:
        OSError: If the file system is away; a run that is reopened just now is none.
        InputError: If it is not what was written.
    """
    path = folder / WORK / _OVER
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise InputError(
            f"{path} cannot be read as JSON: {error}; submit or search again, and it is removed"
        ) from error
    return found if isinstance(found, dict) else {}
