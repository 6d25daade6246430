"""Limits of a process, and a record of what it reads, writes and starts."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path
from typing import Any

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGING = (
    "os.rename",
    "os.remove",
    "os.mkdir",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
    "shutil.move",
)
_STARTING = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "pty.spawn", "ctypes.dlopen")
_NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.bind", "socket.sendto", "urllib.Request")
# Of the system, which every library reads.
_SYSTEM = ("/usr", "/lib", "/proc", "/sys", "/dev", "/etc", "/bin", "/run")
_NEVER = ("/etc/passwd", "/dev/zero", "/proc/self/mem")


def limit(memory: int, seconds: int) -> None:
    """Bounds what this process may take beyond what it has.

    Args:
        memory: Bytes of address space more than now.
        seconds: Of processor time.
    """
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + memory
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 << 20, 256 << 20))


class Watch:
    """Records what this process does that it should not; it cannot be taken off.

    Args:
        folder: Where it works; reading is free there, but for what lies in ``forbidden``.
        forbidden: A part of it that may not be read; where it is None, anything may be.
        caches: Where libraries may read and write.

    Attributes:
        seen: One sentence for each thing that should not be.
    """

    def __init__(self, folder: Path, forbidden: Path | None, caches: tuple[str, ...]) -> None:
        self.seen: list[str] = []
        self._on = True
        self._folder, self._forbidden = str(folder), str(forbidden) if forbidden else None
        self._caches = caches
        self._readable = (
            *caches,
            *_SYSTEM,
            *{os.path.realpath(p) for p in (sys.prefix, sys.base_prefix, *sys.path) if p},
        )
        sys.addaudithook(self._hook)

    def stop(self) -> None:
        """Records no more."""
        self._on = False

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._on:
            return
        if event == "open":
            self._opened(*arguments[:3])
        elif event in _NETWORK:
            self.seen.append(f"{event} {ascii(arguments[1:])[:80]}")
            raise PermissionError("no network")
        elif event in _CHANGING:
            self._changed(event, arguments)
        elif event in _STARTING and event != "ctypes.dlopen":
            self.seen.append(f"{event} {ascii(arguments)[:80]}")

    def _opened(self, path: Any, mode: Any, flags: Any) -> None:
        if isinstance(path, int) or path is None:
            return
        place = self._real(path)
        if place is None:
            return
        if (flags or 0) & _WRITING:
            if not _below(place, (self._folder, *self._caches, "/dev/null")):
                self.seen.append(f"writes {place}")
            return
        if self._forbidden is None:
            return
        forbidden = _below(place, (self._forbidden,))
        inside = _below(place, (self._folder, *self._readable)) and place not in _NEVER
        if forbidden or not inside:
            self.seen.append(f"reads {place}")

    def _changed(self, event: str, arguments: tuple[Any, ...]) -> None:
        for path in arguments:
            if isinstance(path, str | bytes | os.PathLike):
                place = self._real(path)
                if place is not None and not _below(place, (self._folder, *self._caches)):
                    self.seen.append(f"{event} {place}")

    def _real(self, path: Any) -> str | None:
        self._on = False  # looking itself is not what is looked for
        try:
            return os.path.realpath(os.fsdecode(path))
        except (ValueError, OSError, TypeError):
            return None  # not a path: nothing can be opened by it
        finally:
            self._on = True


def _below(place: str, roots: tuple[str, ...]) -> bool:
    return any(place == root or place.startswith(root.rstrip("/") + "/") for root in roots)
