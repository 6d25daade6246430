"""The launcher of one answer: a script on the standard library alone, run by :mod:`.sandbox` in a process of its own.

It moves into namespaces of its own, becomes their first process, puts together a root that holds Python read-only and
one small folder to write into, and runs the answer there without rights. As the first process of its namespace ends,
the kernel ends every other one in it.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import resource
import select
import signal
import stat
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

# <linux/sched.h>: mounts, cgroups, host name, System V memory, users, processes, network.
_NAMESPACES = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
# <sys/mount.h>
_NOSUID, _NODEV, _BIND, _REC, _PRIVATE, _DETACH = 2, 4, 4096, 16384, 1 << 18, 2
# <linux/mount.h> and <fcntl.h>, of mount_setattr
_ATTR_READ_ONLY, _ATTR_NOSUID, _ATTR_NODEV, _FROM_HERE, _RECURSIVE = 1, 2, 4, -100, 0x8000
# <sys/prctl.h>
_DEATH_SIGNAL, _DUMPABLE, _SECCOMP, _DROP_BOUND, _NO_NEW_RIGHTS = 1, 4, 22, 24, 38
_SECCOMP_FILTER = 2

_NOBODY = 65534
_INSIDE = 1000  # the answer's user and group, as it sees them
_STOOL = "/tmp"  # any folder that is there: the new root is mounted over it, in this namespace alone
_OLD = "/old"
_DEVICES = ("null", "zero", "random", "urandom")
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/nix/store", "/etc/ld.so.cache")
_ENVIRONMENT = {
    "HOME": "/tmp",
    "TMPDIR": "/tmp",
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",  # sets of texts come in the same order in every run
    "OPENBLAS_NUM_THREADS": "1",  # threads count as processes
}
_HIGH = 100  # descriptors from here on are in nobody's way
_LONGEST = 1 << 12  # bytes that an answer's process may tell about itself


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("program", ctypes.c_char_p))


def _called(result: int, name: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result


class Jail:
    """One answer's surroundings.

    Args:
        order: What :func:`evomerge.fitness.tasks.code.sandbox.run` wrote.
        status: Descriptor that the outcome is written to.
    """

    def __init__(self, order: Mapping[str, Any], status: int) -> None:
        self._order = order
        self._status = status
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._root = os.getuid() == 0

    def run(self) -> None:
        """Runs the answer to its end."""
        self._prctl(_DEATH_SIGNAL, signal.SIGKILL)
        signal.alarm(int(self._order["wall_seconds"]) + 5)  # should nobody be left to end it
        self._enter_namespaces()
        first = os.fork()
        if not first:
            self._guard(self._first_process)
        os.waitpid(first, 0)

    def _guard(self, function: Any) -> NoReturn:
        """Calls a function in a forked process, which ends with it and never returns into its parent's code."""
        try:
            function()
        except BaseException as error:
            self.report({"broken": str(error) or type(error).__name__})
        os._exit(0)

    def report(self, outcome: Mapping[str, Any]) -> None:
        """Writes an outcome, the first of which counts."""
        os.write(self._status, json.dumps(outcome).encode() + b"\n")

    def _prctl(self, option: int, *values: Any) -> None:
        arguments = [*values, 0, 0, 0, 0][:4]
        words = [value if isinstance(value, ctypes.c_void_p) else ctypes.c_ulong(value) for value in arguments]
        _called(self._libc.prctl(option, *words), f"prctl({option})")

    def _syscall(self, name: str, *values: Any) -> None:
        _called(self._libc.syscall(ctypes.c_long(self._order["numbers"][name]), *values), name)

    def _mount(self, source: str | None, target: str, kind: str | None, flags: int, options: str = "") -> None:
        texts = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
        result = self._libc.mount(*texts, ctypes.c_ulong(flags), options.encode() or None)
        _called(result, f"mount of {target}")

    def _read_only(self, path: str, *, devices: bool, recursive: bool) -> None:
        wanted = _ATTR_READ_ONLY | _ATTR_NOSUID | (0 if devices else _ATTR_NODEV)
        attributes = (ctypes.c_uint64 * 4)(wanted, 0, 0, 0)
        flags = ctypes.c_uint(_RECURSIVE if recursive else 0)
        self._syscall("mount_setattr", ctypes.c_int(_FROM_HERE), path.encode(), flags, attributes, ctypes.c_size_t(32))

    def _enter_namespaces(self) -> None:
        """Unshares everything; a process that stays outside says which users there are inside."""
        hear, unshared = os.pipe()
        answered, answer = os.pipe()
        outside, inside = os.getpid(), os.fork()
        if not inside:
            os.close(unshared)
            told = b"written"
            if os.read(hear, 1):
                try:
                    self._write_maps(f"/proc/{outside}")
                except OSError as error:
                    told = str(error).encode()
            os.write(answer, told)
            os._exit(0)
        result = self._libc.unshare(_NAMESPACES)
        code = ctypes.get_errno()
        if result == 0:
            os.write(unshared, b".")
        os.close(unshared)
        reply = os.read(answered, _LONGEST).decode()
        os.waitpid(inside, 0)
        if result < 0:
            raise OSError(f"unshare: {os.strerror(code)}")
        if reply != "written":
            raise OSError(f"the users of the namespace could not be set: {reply}")

    def _write_maps(self, process: str) -> None:
        # No limit on processes holds for the machine's root, so that an answer is nobody where we are root.
        own = [f"0 0 1\n{_INSIDE} {_NOBODY} 1\n"] * 2
        if not self._root:
            own = [f"{_INSIDE} {os.getuid()} 1\n", f"{_INSIDE} {os.getgid()} 1\n"]
            _write(f"{process}/setgroups", "deny")
        _write(f"{process}/uid_map", own[0])
        _write(f"{process}/gid_map", own[1])

    def _first_process(self) -> None:
        """Runs the answer as the second process of the namespace, and reports how it ended."""
        self._prctl(_DEATH_SIGNAL, signal.SIGKILL)
        self._prctl(_DUMPABLE, 0)  # processes of the same user must not look into this one
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # which the first process of a namespace does not get from inside
        self._build_root()
        asked, ask = os.pipe()
        told, tell = os.pipe()
        answer = os.fork()
        if not answer:
            self._guard(lambda: self._become_answer(asked, tell))
        os.close(tell)
        os.write(ask, self._order["token"].encode())
        used, ended = 0.0, 0
        while ended != answer:
            ended, code, usage = os.wait4(-1, 0)
            used = usage.ru_utime + usage.ru_stime
        words = os.read(told, _LONGEST) if select.select([told], [], [], 0)[0] else b""
        token, _, said = words.decode("utf-8", "replace").partition(" ")
        killed = os.WTERMSIG(code) if os.WIFSIGNALED(code) else 0
        self.report({"said": said if token == self._order["token"] else "", "signal": killed, "cpu": used})

    def _build_root(self) -> None:
        self._mount(None, "/", None, _REC | _PRIVATE)
        self._mount("tmpfs", _STOOL, "tmpfs", _NOSUID | _NODEV, "size=1m,nr_inodes=512,mode=0755")
        os.chdir(_STOOL)
        os.mkdir("old")
        self._syscall("pivot_root", b".", b"old")
        os.chdir("/")
        with open("/program", "wb") as file:
            file.write(self._order["program"].encode("utf-8", "surrogatepass"))
        for name in _DEVICES:
            self._show(f"/dev/{name}", devices=True)
        for path in (*_LIBRARIES, *self._order["shown"]):
            self._show(path)
        for path, target in self._order["packages"].items():
            self._show(path, target)
        os.mkdir("/tmp")
        disk = self._order["disk"]
        self._mount("tmpfs", "/tmp", "tmpfs", _NOSUID | _NODEV, f"size={disk},nr_inodes=1024,mode=1777")
        _called(self._libc.umount2(_OLD.encode(), _DETACH), "umount")
        os.rmdir(_OLD)
        self._read_only("/", devices=False, recursive=False)
        _called(self._libc.sethostname(b"sandbox", ctypes.c_size_t(7)), "sethostname")

    def _show(self, path: str, target: str | None = None, *, devices: bool = False) -> None:
        """Shows a file or folder of the machine inside, read-only; leaves out what is not there."""
        target = target or path
        try:
            mode = os.lstat(_OLD + path).st_mode
        except OSError:
            return
        if os.path.lexists(target):
            return
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if stat.S_ISLNK(mode):
            os.symlink(os.readlink(_OLD + path), target)
            return
        if stat.S_ISDIR(mode):
            os.mkdir(target)
        else:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o444))
        self._mount(_OLD + path, target, None, _BIND | _REC)
        self._read_only(target, devices=devices, recursive=True)

    def _become_answer(self, asked: int, tell: int) -> None:
        order = self._order
        os.chdir("/tmp")
        high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, _HIGH) for end in (asked, tell)]
        for place, descriptor in enumerate((os.open("/dev/null", os.O_RDONLY), 1, 1, *high)):
            os.dup2(descriptor, place)  # every other one closes as Python starts
        # The launcher and the first process are the answer's user's too where nobody else can be had.
        processes = order["processes"] + (0 if self._root else 2)
        cpu = order["cpu_seconds"]
        for limit, value, most in (
            (resource.RLIMIT_CPU, cpu, cpu),  # no signal comes first, which could be ignored
            (resource.RLIMIT_NPROC, processes, processes),
            (resource.RLIMIT_FSIZE, order["disk"], order["disk"]),
            (resource.RLIMIT_NOFILE, order["files"], order["files"]),
            (resource.RLIMIT_CORE, 0, 0),
            (resource.RLIMIT_MEMLOCK, 0, 0),
            (resource.RLIMIT_AS, order["memory"], order["memory"]),
        ):
            resource.setrlimit(limit, (value, most))
        if self._root:
            os.setgroups([])
            os.setresgid(_INSIDE, _INSIDE, _INSIDE)
        for capability in range(64):
            self._libc.prctl(_DROP_BOUND, ctypes.c_ulong(capability), 0, 0, 0)
        if self._root:
            os.setresuid(_INSIDE, _INSIDE, _INSIDE)
        self._prctl(_NO_NEW_RIGHTS, 1)
        program = bytes.fromhex(order["filter"])
        filtered = _Filter(len(program) // 8, program)
        self._prctl(_SECCOMP, _SECCOMP_FILTER, ctypes.cast(ctypes.pointer(filtered), ctypes.c_void_p))
        arguments = [order["python"], "-B", "-P", "-s", "-S", "-X", "utf8", "-c", order["boot"]]
        os.execve(order["python"], arguments, _ENVIRONMENT)


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def _offer_to_die() -> None:
    """If the machine's memory runs out, this goes first."""
    try:
        _write("/proc/self/oom_score_adj", "1000")
    except OSError:
        return


def _main() -> None:
    status = fcntl.fcntl(int(sys.argv[1]), fcntl.F_DUPFD_CLOEXEC, _HIGH)
    os.close(int(sys.argv[1]))
    jail = Jail(json.load(sys.stdin), status)
    _offer_to_die()
    try:
        jail.run()
    except BaseException as error:
        jail.report({"broken": str(error) or type(error).__name__})


if __name__ == "__main__":
    _main()
