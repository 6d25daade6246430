"""Programs that do harm, or try to, one sandbox each: why they fail, and that nothing outside has changed."""

from __future__ import annotations

import os
import socket
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from evomerge.fitness.tasks.code import sandbox, syscalls
from evomerge.fitness.tasks.code.limits import Limits, Verdict

here = pytest.mark.skipif(sandbox.refusal() is not None, reason=str(sandbox.refusal()))
# Time runs out by computing, however busy the machine is.
SMALL = Limits(cpu_seconds=1, wall_seconds=600, memory=128 << 20, disk=1 << 20, processes=4)


def attempt(program: str, limits: Limits = SMALL) -> Verdict:
    return sandbox.run(program, limits)


@here
@pytest.mark.parametrize(
    ("program", "cause", "detail"),
    [
        ("assert 1 + 1 == 2", "passed", ""),
        ("assert 1 + 1 == 3, 'sum'", "failed", "AssertionError: sum"),
        ("def broken(", "error", "SyntaxError: '(' was never closed"),
        ("\0", "error", "SyntaxError: source code string cannot contain null bytes"),
        ("x = '\ud800'", "error", "UnicodeDecodeError"),
        ("f = lambda: f()\nf()", "error", "RecursionError"),
        ("input()", "error", "EOFError"),
        ("if __name__ == '__main__': raise ValueError", "passed", ""),
        ("from dataclasses import dataclass\n@dataclass\nclass A:\n    x: 'int' = 1\nassert A() == A(1)", "passed", ""),
        ("import numpy\nassert numpy.arange(3).sum() == 3", "passed", ""),
    ],
)
def test_programs_are_run_as_an_imported_module(program: str, cause: str, detail: str) -> None:
    found = attempt(program, Limits())
    assert found.cause == cause
    assert found.detail.startswith(detail)


@here
def test_a_fork_bomb_runs_out_of_processes() -> None:
    assert attempt("import os\nwhile True:\n    os.fork()").cause == "processes"
    threads = "import threading, time\nwhile True:\n    threading.Thread(target=time.sleep, args=(60,)).start()"
    assert attempt(threads).cause == "processes"


@here
def test_an_endless_loop_runs_out_of_time() -> None:
    ignoring = "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True:\n    pass"
    assert attempt(ignoring) == Verdict("time", "computed for more than 1 s")


@here
def test_a_program_that_sleeps_runs_out_of_time() -> None:
    asleep = "import time\nwhile True:\n    time.sleep(60)"
    assert attempt(asleep, Limits(wall_seconds=1)) == Verdict("time", "took more than 1 s")


@here
def test_memory_has_an_end() -> None:
    assert attempt("parts = []\nwhile True:\n    parts.append(bytearray(1 << 20))").cause == "memory"
    assert attempt("import mmap\nmmap.mmap(-1, 1 << 30)").cause == "memory"


@here
def test_nothing_is_written_outside(tmp_path: Path) -> None:
    """Neither where the machine's files are, which are not there, nor where Python is, which cannot be changed."""
    target = tmp_path / "target"
    target.write_text("mine")
    assert attempt(f"open({str(target)!r}, 'w').write('yours')").detail.startswith("FileNotFoundError")
    library = "import os\nopen(os.__file__, 'a').write('yours')"
    assert attempt(library).cause == "error"
    assert "yours" not in Path(os.__file__).read_text()
    assert attempt("open('/new', 'w')").detail == "OSError: [Errno 30] Read-only file system: '/new'"
    assert target.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [target]
    assert attempt("open('own', 'w').write('x')\nassert open('/tmp/own').read() == 'x'").passed
    assert not attempt("open('own')").passed  # it was another program's


@here
def test_no_socket_reaches_anything() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        call = f"import socket\nsocket.create_connection(('127.0.0.1', {port}), timeout=5)"
        assert attempt(call).detail == "OSError: [Errno 101] Network is unreachable"
        with pytest.raises(BlockingIOError):
            server.accept()
    name = f"\0{uuid.uuid4().hex}"
    with socket.socket(socket.AF_UNIX) as local:  # names that no folder holds belong to a network as well
        local.bind(name)
        local.listen()
        call = f"import socket\nsocket.socket(socket.AF_UNIX).connect({name!r})"
        assert attempt(call).detail == "ConnectionRefusedError: [Errno 111] Connection refused"


@here
def test_the_environment_stays_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_SECRET", "tell-nobody")
    told = attempt("import os\nraise ValueError(sorted(os.environ))").detail
    assert told == "ValueError: ['HOME', 'LANG', 'OPENBLAS_NUM_THREADS', 'PYTHONHASHSEED', 'TMPDIR']"
    for path in ("/proc/self/environ", "/proc/1/environ", f"/proc/{os.getpid()}/environ"):
        assert attempt(f"open({path!r})").detail.startswith("FileNotFoundError")
    opened = (
        "import os\nfor place in range(5, 64):\n    try:\n        os.fstat(place)\n    except OSError:\n        pass\n"
    )
    assert attempt(f"{opened}    else:\n        raise ValueError(place)").passed


@here
def test_no_other_process_can_be_killed() -> None:
    """Not the first of its namespace, from which no signal takes anything, and those outside have no number there."""
    program = (
        "import os, signal\n"
        f"for process in (1, os.getppid(), {os.getpid()}, {os.getppid()}, -1):\n"
        "    for number in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGSTOP):\n"
        "        try:\n            os.kill(process, number)\n        except OSError:\n            pass\n"
    )
    assert attempt(program).passed
    assert attempt(program + "os.kill(os.getpid(), 9)") == Verdict("ended", "crashed (SIGKILL)")
    assert attempt("import ctypes\nctypes.string_at(0)") == Verdict("ended", "crashed (SIGSEGV)")


@here
def test_the_disk_is_small(tmp_path: Path) -> None:
    one = "with open('one', 'wb') as file:\n    while True:\n        file.write(bytes(1 << 16))"
    assert attempt(one).cause == "disk"
    many = "import itertools\nfor place in itertools.count():\n    open(str(place), 'wb').write(bytes(1 << 16))"
    assert attempt(many).cause == "disk"
    empty = "import itertools\nfor place in itertools.count():\n    open(str(place), 'wb').close()"
    assert attempt(empty).cause == "disk"
    held = "files = []\nwhile True:\n    files.append(open('one', 'w'))"
    assert attempt(held).cause == "files"


@here
def test_printing_has_an_end() -> None:
    assert attempt("while True:\n    print('x' * 1000)") == Verdict("output", "printed more than 64 KiB")
    told = attempt("import sys\nwhile True:\n    sys.stderr.write('x' * 1000)")
    assert told == Verdict("output", "printed more than 64 KiB")
    assert attempt("print('x' * 60_000)").passed


@here
def test_nothing_is_deleted(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("mine")
    assert attempt(f"import os\nos.remove({str(kept)!r})").detail.startswith("FileNotFoundError")
    assert attempt("import os\nos.remove(os.__file__)").cause == "error"
    folders = "('/tmp', '/dev', '/packages', os.path.dirname(json.__file__))"
    everything = f"import json, os, shutil\nfor path in {folders}:\n    shutil.rmtree(path, ignore_errors=True)\n"
    assert attempt(everything + "assert os.path.isdir('/tmp') and os.path.exists(json.__file__)").passed
    assert kept.read_text() == "mine"
    assert Path(os.__file__).is_file()
    assert Path("/dev/null").exists()


@here
@pytest.mark.parametrize(
    "program",
    [
        "import os\nos._exit(0)",
        "import sys\nsys.exit(0)",
        "raise SystemExit",
        "raise KeyboardInterrupt",
        "import os\nos.write(4, b'passed')\nos._exit(0)",
        "import os\nos.close(4)",
        "import os\nos.execv('/bin/true', ['true'])",
        "import os\nif os.fork():\n    os._exit(0)",
    ],
)
def test_who_ends_early_has_not_passed(program: str) -> None:
    assert not attempt(program + "\nassert False").passed


@here
def test_what_is_replaced_does_not_help() -> None:
    program = (
        "import os, builtins\n"
        "builtins.AssertionError = builtins.BaseException = type('Nothing', (Exception,), {})\n"
        "os.write = os._exit = os.getpid = lambda *_: 0\n"
        "assert False"
    )
    assert not attempt(program).passed


@here
def test_nothing_is_left_running() -> None:
    """Processes that an answer has started, in sessions of their own, end with it."""
    mark = uuid.uuid4().hex
    program = (
        "import os, sys\n"
        "read, write = os.pipe()\n"
        "os.set_inheritable(write, True)\n"
        "if not os.fork():\n"
        "    os.setsid()\n"
        f"    text = f'import os, time; os.write({{write}}, b\"x\"); time.sleep(600)'\n"
        f"    os.execv(sys.executable, [sys.executable, '-c', text, {mark!r}])\n"
        "assert os.read(read, 1) == b'x'\n"
    )
    assert attempt(program).passed
    until(lambda: not any(mark in text for text in command_lines()))


def command_lines() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_text(errors="replace"))
        except OSError:
            continue
    return found


def until(holds: Callable[[], bool]) -> None:
    """Waits for something that happens at once, though on a machine that may be busy."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


@here
@pytest.mark.parametrize(
    "call",
    ["unshare(0x10000000)", "unshare(0x20000)", "mount(None, b'/tmp', b'tmpfs', 0, None)", "shmget(0, 4096, 0o1777)",
     "memfd_create(b'x', 0)", "ptrace(0, 0, 0, 0)", "setns(0, 0)"],
)  # fmt: skip
def test_calls_that_no_answer_needs_are_refused(call: str) -> None:
    program = f"import ctypes\nlibrary = ctypes.CDLL(None, use_errno=True)\nassert library.{call} == -1\n"
    assert attempt(program + "assert ctypes.get_errno() == 1").passed


@here
def test_sets_of_texts_keep_their_order() -> None:
    program = "raise ValueError(list({str(n) for n in range(9)}))"
    assert len({attempt(program) for _ in range(3)}) == 1


def refused_without(*names: str) -> str:
    """What is told where the kernel refuses some system calls, in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        told = "no answer"
        try:
            _refuse(syscalls.denial(names))
            sandbox.refusal.cache_clear()
            told = str(sandbox.refusal())
            sandbox.run("pass")
        except sandbox.SandboxError:
            told += " (not run)"
        except BaseException as error:
            told = repr(error)
        finally:
            os.write(writing, told.encode())
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as file:
        return file.read()


def _refuse(program: bytes) -> None:
    """Puts a filter of system calls over this process and all that it starts."""
    import ctypes

    class Filter(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("program", ctypes.c_char_p))

    library = ctypes.CDLL(None, use_errno=True)
    given = Filter(len(program) // 8, program)
    assert library.prctl(38, 1, 0, 0, 0) == 0
    assert library.prctl(22, 2, ctypes.byref(given), 0, 0) == 0


@pytest.mark.skipif(not syscalls.numbers(), reason="needs a machine whose system calls are known")
@pytest.mark.parametrize("name", ["unshare", "mount", "mount_setattr", "pivot_root"])
def test_where_the_system_refuses_nothing_is_run(name: str) -> None:
    told = refused_without(name)
    assert told.startswith("the system does not allow it (")
    assert "Operation not permitted); " in told
    assert "or score code on a machine that allows it" in told
    assert told.endswith("(not run)")


def test_other_systems_are_refused_with_the_way_out() -> None:
    assert "run the search on Linux" in sandbox.remedy("platform")
    assert "x86_64 and aarch64" in sandbox.remedy("machine")
    assert sandbox.remedy("leak", "it can see processes").endswith("nothing is run in it")
    assert sys.platform.startswith("linux") or sandbox.refusal() == sandbox.remedy("platform")
