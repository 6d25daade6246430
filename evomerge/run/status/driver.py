"""The driver of a run as it looks from outside: who holds its lease, whether that one lives, and who may succeed it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from evomerge.executors.folder import WorkFolder
from evomerge.lease import EXPIRY, has_ended, leases, this_process
from evomerge.run.attach import WORK

__all__ = ["Driver", "driver_of", "joined"]


@dataclass(frozen=True)
class Driver:
    """The holder of a run's lease.

    Attributes:
        host: Its machine; empty where it is only just taking the lease.
        pid: Its process there, or None.
        seen: Whether it can be seen that it runs; False where it is on another machine, or hidden, and may run.
        seconds: Since it renewed its lease, by this machine's clock.
    """

    host: str
    pid: int | None
    seen: bool
    seconds: float


def driver_of(folder: Path) -> Driver | None:
    """Who drives a run; None if nobody does, or only one that has ended. Looks, and changes nothing.

    Args:
        folder: The run's folder.
    """
    records = folder / "records"
    held = leases(records) if records.is_dir() else {}
    if not held:
        return None
    return _living(held[max(held)])


def joined(folder: Path) -> int:
    """How many workers share a run and are not known to be gone.

    Args:
        folder: The run's folder.
    """
    return sum(_living(path) is not None for path in WorkFolder(folder / WORK).signs())


def _living(path: Path) -> Driver | None:
    """The process that keeps a file new; None where it has ended, or has been silent for too long."""
    try:
        seconds = max(time.time() - path.stat().st_mtime, 0.0)
        holder = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None  # released just now
    except ValueError:
        holder = {}  # its holder is writing it just now, or was killed while it did
    ended = has_ended(holder, this_process())
    if ended or (ended is None and seconds >= EXPIRY):
        return None
    return Driver(str(holder.get("host", "")), holder.get("pid"), ended is False, seconds)
