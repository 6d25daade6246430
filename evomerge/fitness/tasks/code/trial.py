"""Tries, inside a sandbox with room for four processes, what programs must not be able to do; passes if nothing works.

Run as an answer by :func:`evomerge.fitness.tasks.code.sandbox.refusal`; importing it tries nothing.
"""

from __future__ import annotations

import os
import resource
import socket
import time


def _fork_freely() -> bool:
    """Whether more processes can be had than the limit says."""
    for _ in range(16):
        try:
            child = os.fork()
        except BlockingIOError:
            return False
        if not child:
            time.sleep(60)
            os._exit(0)
    return True


def _reach(family: int, address: tuple[str, int]) -> bool:
    """Whether an address can be reached."""
    with socket.socket(family, socket.SOCK_DGRAM) as mine:
        try:
            mine.connect(address)
        except OSError:
            return False
    return True


def _write_outside() -> bool:
    """Whether a folder other than the program's own can be written into."""
    for folder in ("/", "/usr/lib", "/lib", "/dev", os.path.dirname(os.__file__)):
        try:
            with open(f"{folder}/trial", "w"):
                return True
        except OSError:
            continue
    return False


def _see_processes() -> bool:
    return os.path.exists("/proc/self")


def _try_all() -> None:
    assert not _write_outside(), "it can write outside its folder"
    assert not _reach(socket.AF_INET, ("192.0.2.1", 9)), "it can reach a network"
    assert not _reach(socket.AF_INET, ("127.0.0.1", 9)), "it can reach the machine's own services"
    assert not _see_processes(), "it can see processes"
    assert os.getpid() == 2 and os.getuid() not in (0, 65534), "it is in the machine's own namespaces"  # noqa: PT018
    assert resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY, "its memory has no limit"
    assert os.statvfs("/tmp").f_blocks * os.statvfs("/tmp").f_frsize <= 64 << 20, "its folder has no limit"
    assert not _fork_freely(), "it can start processes without limit"


if __name__ == "answer":  # the name of programs in a sandbox; elsewhere nothing may be tried
    _try_all()
