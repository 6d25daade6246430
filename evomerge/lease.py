"""The right to write: one process at a time, on shared file systems too.

A lease is a file that appears whole, under a name that was free, which a file system grants to one process only;
nothing is locked. It says who holds it. A holder that has died on this machine is succeeded at once; one of which
nothing can be seen, on another machine or of another user, when it has not renewed its lease for ten minutes.
Successors count up: the highest number in a folder is the last holder. Numbers begin anew after a release, so a lease
holds a random token too: one that was succeeded while it slept takes no later lease of its number for its own.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evomerge.errors import InputError

__all__ = [
    "EXPIRY",
    "Lease",
    "LeaseHeld",
    "LeaseLost",
    "create",
    "create_in_place",
    "file_system_time",
    "has_ended",
    "is_held",
    "leases",
    "this_machine",
    "this_process",
]

EXPIRY = 600.0  # seconds without renewal after which a holder that cannot be seen counts as dead
_RENEWAL = 60.0  # seconds between renewals
_PREFIX = ".lease."
_BOOT = "/proc/sys/kernel/random/boot_id"


class LeaseHeld(InputError):
    """A living process holds the lease, or one that cannot be seen and may be alive."""


class LeaseLost(RuntimeError):
    """Another process has taken over, as this one was stopped for so long that it counted as dead; or all is gone."""


class Lease:
    """A held lease. Made by :meth:`take`; it renews itself until it is released or the process ends.

    Args:
        path: The lease's file.
        holder: What stands in it.
    """

    def __init__(self, path: Path, holder: Mapping[str, Any]) -> None:
        self._path = path
        self._text = json.dumps(holder)
        self._over = threading.Event()
        threading.Thread(target=self._renew, name="lease", daemon=True).start()

    @classmethod
    def take(cls, folder: Path) -> Lease:
        """Takes the lease of a folder, or succeeds a dead holder.

        Args:
            folder: What is leased; leases lie in it.

        Raises:
            LeaseHeld: If a living process holds it, or one that cannot be seen and may be alive.
        """
        mine = this_process()
        while True:
            held = leases(folder)
            for path in held.values():
                _refuse_living(path, mine)
            path = folder / f"{_PREFIX}{max(held, default=0) + 1}"
            if not create(path, json.dumps(mine)):
                _refuse_living(path, mine)  # another process was faster
                continue
            try:
                # Looked at anew: holders may have come and gone, and numbers begun again, since the first look.
                others = [other for other in leases(folder).values() if other != path]
                for other in others:
                    _refuse_living(other, mine)
                for other in others:
                    other.unlink(missing_ok=True)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
            return cls(path, mine)

    def check(self) -> None:
        """Makes sure that the lease is still held.

        Raises:
            LeaseLost: If another process has taken over, or the folder has been removed.
        """
        if not self._held():
            folder = self._path.parent
            what = "has been taken over by another process" if folder.is_dir() else "has been removed"
            raise LeaseLost(f"{folder.parent} {what}; this one stops")

    def release(self) -> None:
        """Lets other processes write."""
        self._over.set()
        if self._held():
            self._path.unlink(missing_ok=True)

    def _held(self) -> bool:
        try:
            return self._path.read_text(encoding="utf-8") == self._text
        except FileNotFoundError:
            return False

    def _renew(self) -> None:
        while not self._over.wait(_RENEWAL):
            try:
                if not self._held():
                    return  # `check` says so
                os.utime(self._path)
            except OSError:
                continue  # a file system that is away for a moment


def leases(folder: Path) -> dict[int, Path]:
    """Number to file of the leases that are there."""
    found = (path for path in folder.iterdir() if path.name.startswith(_PREFIX))
    return {int(path.name.removeprefix(_PREFIX)): path for path in found if path.name.removeprefix(_PREFIX).isdigit()}


def is_held(folder: Path) -> bool:
    """Whether the lease of a folder is held by a process that lives, or may live; nothing is taken."""
    mine = this_process()
    try:
        for path in leases(folder).values():
            _refuse_living(path, mine)
    except LeaseHeld:
        return True
    except FileNotFoundError:
        pass  # no such folder yet
    return False


def create(path: Path, text: str) -> bool:
    """Creates a file that appears whole, under a name that one process only is granted; on disk when this returns.

    Args:
        path: The name.
        text: What stands in the file.

    Returns:
        Whether it was granted; False when the name is taken.
    """
    draft = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with draft.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            return draft.stat().st_nlink == 2  # over a network an answer may be lost; two names say it was granted
        except OSError:  # a file system without second names
            return create_in_place(path, text)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error  # a refused write does not say of what
    finally:
        draft.unlink(missing_ok=True)
    return True


def create_in_place(path: Path, text: str) -> bool:
    """Creates such a file where it cannot appear whole: for a moment, or after a kill in it, it says nothing."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True


def _refuse_living(path: Path, mine: dict[str, Any]) -> None:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return  # released just now
    except ValueError:
        holder = {}  # its holder is writing it just now, or was killed while it did
    folder = path.parent.parent
    ended = has_ended(holder, mine)
    if ended:
        return
    if ended is False:
        raise LeaseHeld(
            f"{folder} is being written by another process, number {holder['pid']} on this machine; wait for it, "
            "stop it, or choose another folder"
        )
    try:
        age = file_system_time(path.parent) - path.stat().st_mtime
    except FileNotFoundError:
        return
    if age < EXPIRY:
        where = f"number {holder['pid']} on {holder['host']}" if holder else "which has just begun"
        raise LeaseHeld(
            f"{folder} is being written by another process, {where}, as far as can be seen from here; if it has "
            f"ended without saying so, this works in {EXPIRY - age:.0f} seconds, or at once after removing {path}"
        )


def has_ended(holder: Mapping[str, Any], mine: Mapping[str, Any]) -> bool | None:
    """Whether a process has ended, as far as this one can see; None where it cannot: on another machine, for example.

    Args:
        holder: The process, as :func:`this_process` described it there.
        mine: This process.
    """
    if holder.get("machine") != mine["machine"]:
        return None
    if holder.get("boot") != mine["boot"]:
        return True  # the machine has been started anew since
    if holder.get("processes") != mine["processes"]:
        return None
    alive = _alive(holder)
    return None if alive is None else not alive


def _alive(holder: Mapping[str, Any]) -> bool | None:
    """Whether a process of this machine still runs: its number may belong to another process by now.

    None where there is a process of that number, but nothing more can be seen: other users' may be hidden.
    """
    started = _started(int(holder["pid"]))
    if started is not None:
        return bool(holder["started"] == started)
    try:
        os.kill(int(holder["pid"]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return None


def file_system_time(folder: Path) -> float:
    """The time by the clock of the file system, which other machines see too."""
    probe = folder / f".{os.getpid()}.{secrets.token_hex(4)}.tmp"
    try:
        probe.touch()
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def this_process() -> dict[str, Any]:
    """This process as other ones can tell it apart, on this machine and elsewhere; each call has a token of its own."""
    return {
        "host": socket.gethostname(),
        "machine": this_machine(),
        "boot": _read(_BOOT),
        "processes": _namespace(),
        "pid": os.getpid(),
        "started": _started(os.getpid()),
        "token": secrets.token_hex(8),
    }


def this_machine() -> str:
    """The name of this machine, which no other one has."""
    # Containers may share a name and have no machine's id: then nothing but the boot tells machines apart.
    return f"{socket.gethostname()} {_read('/etc/machine-id') or _read(_BOOT)}".strip()


def _namespace() -> str:
    """Where process numbers count: containers on one machine have their own."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """When a process started, in ticks since the machine did; empty where it has ended, None where none is seen."""
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if len(fields) <= 19:
        return None
    # A zombie has ended; it is only not yet buried.
    return fields[19] if fields[0] not in ("Z", "X") else ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
