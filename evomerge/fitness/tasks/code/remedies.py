"""Ways out where a system does not allow the sandbox."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path

# Switches of the kernel that keep users from making namespaces: file, the value that does, and the remedy.
_SWITCHES = (
    ("user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=10000"),
    ("kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"),
)
_CONTAINERS = ("/.dockerenv", "/run/.containerenv")
_ELSEWHERE = "or score code on a machine that allows it (executor=folder and executor=ray take workers elsewhere)"


def remedy(kind: str, reason: str = "") -> str:
    """Ends a sentence about why the sandbox cannot be had, with the way out.

    Args:
        kind: ``platform``, ``machine``, ``system`` or ``leak``.
        reason: What the system said.
    """
    if kind == "platform":
        return (
            f"the sandbox is made of Linux's namespaces, which {platform.system()} does not have; run the search on "
            "Linux, for example in a virtual machine"
        )
    if kind == "machine":
        return f"its filter of system calls is written for x86_64 and aarch64, not for {platform.machine()}"
    if kind == "leak":
        return f"the sandbox was made, but it does not hold what it promises ({reason}); nothing is run in it"
    ways = "; ".join(_ways())
    return f"the system does not allow it ({reason}); {ways}, {_ELSEWHERE}"


def _ways() -> Iterator[str]:
    found = [command for name, value, command in _SWITCHES if _switch(name) == value]
    if found:
        yield f"as root: {' && '.join(found)}"
    if any(Path(path).exists() for path in _CONTAINERS):
        yield (
            "start the container with --security-opt seccomp=unconfined --security-opt apparmor=unconfined, which "
            "allows namespaces inside it"
        )
    if not found:
        yield "allow user namespaces and mounts inside them (Linux 5.14 or later; unshare --user --mount must succeed)"


def _switch(name: str) -> str:
    try:
        return Path("/proc/sys", name).read_text().strip()
    except OSError:
        return ""
