"""Watches what happens, without pytest: what processes do, when they are gone, and what calls raise."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

__all__ = ["gone", "raised", "wait_for"]

E = TypeVar("E", bound=Exception)


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


def raised(kind: type[E], call: Callable[[], object]) -> E:
    """The exception of a call that must raise it.

    Raises:
        AssertionError: If it raises nothing.
    """
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"expected {kind.__name__}, and nothing was raised")
