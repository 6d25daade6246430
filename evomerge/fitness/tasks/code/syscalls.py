"""System calls that an answer has no use for, as a filter of the kernel's (seccomp), for the machines that are known.

Without rights none of them reaches outside. They are refused because they open much of the kernel, or memory that no
limit counts: namespaces inside the namespace, with file systems of any size, and shared memory of System V.
"""

from __future__ import annotations

import errno
import platform
import struct
from collections.abc import Collection

# Name to number, from <asm/unistd.h>; mount_setattr and clone3 have one number everywhere.
_X86_64 = {
    "clone": 56, "unshare": 272, "setns": 308, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161,
    "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "shmget": 29, "semget": 64, "msgget": 68,
    "memfd_create": 319, "add_key": 248, "request_key": 249, "keyctl": 250, "bpf": 321, "perf_event_open": 298,
    "userfaultfd": 323, "personality": 135, "mq_open": 240,
}  # fmt: skip
_AARCH64 = {
    "clone": 220, "unshare": 97, "setns": 268, "mount": 40, "umount2": 39, "pivot_root": 41, "chroot": 51,
    "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "shmget": 194, "semget": 190, "msgget": 186,
    "memfd_create": 279, "add_key": 217, "request_key": 218, "keyctl": 219, "bpf": 280, "perf_event_open": 241,
    "userfaultfd": 282, "personality": 92, "mq_open": 180,
}  # fmt: skip
_EVERYWHERE = {
    "clone3": 435, "io_uring_setup": 425, "memfd_secret": 447, "open_tree": 428, "move_mount": 429, "fsopen": 430,
    "mount_setattr": 442,
}  # fmt: skip
# Machine to its name for the kernel's audit and its numbers.
_MACHINES = {"x86_64": (0xC000003E, _X86_64 | _EVERYWHERE), "aarch64": (0xC00000B7, _AARCH64 | _EVERYWHERE)}

_NEW_USERS = 0x10000000  # of <linux/sched.h>, among the flags of clone
_OTHER_NUMBERS = 0x40000000  # x86-64's second table of system calls
# <linux/bpf_common.h>: load a word, jump where equal, not less, or of common bits, and return.
_LOAD, _EQUAL, _NOT_LESS, _COMMON, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # where they stand in <linux/seccomp.h>'s seccomp_data
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000


def numbers() -> dict[str, int]:
    """Numbers of this machine's system calls by name; empty where the machine is not known."""
    return dict(_MACHINES.get(platform.machine(), (0, {}))[1])


def denial(names: Collection[str] | None = None) -> bytes:
    """A filter that refuses system calls with an error and lets all others pass.

    Args:
        names: Those to refuse; by default what no answer needs, and ``clone`` where it asks for a user namespace.

    Returns:
        Instructions of eight bytes each, as ``prctl(PR_SET_SECCOMP)`` takes them.
    """
    audit, known = _MACHINES[platform.machine()]
    refused = sorted(known[name] for name in (known if names is None else names) if name not in ("clone", "clone3"))
    refuse = _RETURN, 0, 0, _ERROR | errno.EPERM
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, audit), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, _NUMBER),
        (_NOT_LESS, 0, 1, _OTHER_NUMBERS), refuse,
        # C's library falls back on clone, whose flags can be read, where clone3 is said to be unknown.
        (_EQUAL, 0, 1, known["clone3"]), (_RETURN, 0, 0, _ERROR | errno.ENOSYS),
    ]  # fmt: skip
    for number in refused:
        steps += [(_EQUAL, 0, 1, number), refuse]
    steps += [
        (_EQUAL, 0, 3, known["clone"]), (_LOAD, 0, 0, _FIRST_ARGUMENT), (_COMMON, 0, 1, _NEW_USERS), refuse,
        (_RETURN, 0, 0, _ALLOW),
    ]  # fmt: skip
    return b"".join(struct.pack("HBBI", *step) for step in steps)
