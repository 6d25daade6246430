"""Limits of a worker process: how long it may be at a job, and how much memory it may have."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from evomerge.executors._shared.attempts import Death
from evomerge.executors._shared.member import Member

__all__ = ["Limits", "private_bytes"]

_LOOK = 0.5  # seconds between two looks at the memory of workers
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Limits:
    """Finds workers that have passed a limit.

    Args:
        timeout: Most seconds at a job, or None.
        memory: Most bytes of a worker's own memory, or None; see `private_bytes`.
    """

    def __init__(self, timeout: float | None = None, memory: int | None = None) -> None:
        self._timeout = timeout
        self._memory = memory

    def patience(self, members: Sequence[Member]) -> float | None:
        """Seconds until one of them may have passed a limit; None where none ever does."""
        busy = [member for member in members if member.job is not None]
        left = [] if self._timeout is None else [max(self._timeout - m.occupation.seconds, 0.0) for m in busy]
        return min([*left, *([_LOOK] if self._memory is not None else [])], default=None)

    def passed(self, member: Member) -> Death | None:
        """The death that a worker at a job deserves, or None."""
        if member.job is None:
            return None
        if self._timeout is not None and member.occupation.seconds >= self._timeout:
            return Death(f"took longer than {self._timeout:g} s (executor.timeout) and was ended", "timeout", True)
        if self.too_large(member):
            # How much it was is left out: the record of a candidate must not differ from one run to the next.
            allowed = f"more memory than {_size(self._memory or 0)} (executor.memory)"
            return Death(f"took {allowed} and was ended", "oom", True)
        return None

    def too_large(self, member: Member) -> bool:
        """Whether a worker has more memory than it may."""
        return self._memory is not None and private_bytes(member.pid) > self._memory

    def no_room(self, member: Member) -> str:
        """A sentence for a worker that has too much before it was at any candidate."""
        return (
            f"executor.memory: a worker needs {_size(private_bytes(member.pid))} before it is at any candidate, and "
            f"{_size(self._memory or 0)} are allowed; give it more, or leave the key out"
        )


def private_bytes(pid: int) -> int:
    """Resident bytes of a process but for those of files that it has mapped, which the system takes back at will.

    0 where the process has ended, and on systems that do not say it under ``/proc``.
    """
    try:
        _, resident, shared, *_ = map(int, Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split())
    except (OSError, ValueError):
        return 0
    return (resident - shared) * _PAGE


def _size(number: int) -> str:
    return f"{number / 2**30:.1f} GiB" if number >= 2**30 else f"{number / 2**20:.0f} MiB"
