"""Watches processes: waits for what they do, and sees when they are gone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["gone", "wait_for"]


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Polls a condition; fails after a time that only a broken executor needs."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def gone(pid: int) -> bool:
    """Whether a process is neither running nor a zombie of ours."""
    try:
        os.kill(pid, 0)
        # Orphans are reaped by whoever adopts them; until then they show as zombies that do nothing.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except ProcessLookupError:
        return True
    except FileNotFoundError:  # reaped between the two lines, unless this system has no such files at all
        return Path("/proc/self/stat").exists()
