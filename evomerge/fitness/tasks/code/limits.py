"""Limits of one answer, and the end that it came to."""

from __future__ import annotations

from dataclasses import dataclass

CAUSES = ("passed", "failed", "error", "ended", "time", "memory", "processes", "files", "disk", "output")


@dataclass(frozen=True)
class Limits:
    """Time, memory and more that an answer may use.

    Attributes:
        cpu_seconds: Of each of its processes; what counts where an answer computes, however busy the machine is.
        wall_seconds: Of all together; what counts where an answer sleeps.
        memory: Address space in bytes, of each of its processes.
        processes: Processes and threads at a time, its own included.
        disk: Bytes of the folder that it may write into, and of a file in it.
        files: Open files of each of its processes.
        output: Bytes that it may print.
    """

    cpu_seconds: int = 3
    wall_seconds: int = 30
    memory: int = 512 << 20
    processes: int = 8
    disk: int = 16 << 20
    files: int = 64
    output: int = 64 << 10


@dataclass(frozen=True)
class Verdict:
    """The end that an answer came to.

    Attributes:
        cause: One of :data:`CAUSES`: ``passed``; ``failed`` by an assertion; ``error`` of any other kind; ``ended``
            before its end was reached; or the limit that it ran into.
        detail: The error, or the limit, in words.
    """

    cause: str
    detail: str = ""

    @property
    def passed(self) -> bool:
        """Whether the program ran to its end."""
        return self.cause == "passed"
