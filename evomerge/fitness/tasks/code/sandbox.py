"""Runs program texts that nobody has read, such as a model's answers: one short-lived sandbox each.

It keeps out what a model's answer does by mistake, by imitation or by malice with ordinary means. The program runs

- in namespaces of its own for users, processes, mounts, network, System V memory and host name: it sees no process but
  its own and no network, not even the machine's own address;
- on a root that holds Python's interpreter and standard library, NumPy if that is installed, the system's shared
  libraries and four devices, all read-only, and one small folder in memory, its working folder and home;
- as a user without rights, whose programs cannot gain any, behind a filter of system calls;
- with an environment of its own, no open file but its output, and limits on time, memory, processes, files and output.

Whatever it leaves running ends with it. Where the system refuses any of this, nothing is run: see :func:`refusal`.

What is not promised: a fault of the kernel may be found and used, as in any container; an answer can tell how fast the
machine is and that it is in a sandbox; all processes of an answer together may use a limit of memory each; and as the
tests run in the answer's own process, an answer that studies its interpreter for the purpose can claim to have passed.
It cannot by ending early, by printing, or by replacing what it can name.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import secrets
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evomerge.evaluation import Unusable
from evomerge.fitness.tasks.code import syscalls
from evomerge.fitness.tasks.code.limits import CAUSES, Limits, Verdict
from evomerge.fitness.tasks.code.remedies import remedy

_FOLDER = Path(__file__).parent
_CHUNK = 1 << 16


class SandboxError(Unusable):
    """The sandbox could not be made, or broke; whether the program is right is not known."""


def run(program: str, limits: Limits | None = None) -> Verdict:
    """Runs a program in a sandbox of its own.

    May be called from several threads at a time.

    Args:
        program: Text of a Python program, which passes if it runs to its end.
        limits: What it may use.

    Returns:
        What became of it.

    Raises:
        SandboxError: If the system does not allow the sandbox.
    """
    limits = limits or Limits()
    order = _surroundings() | asdict(limits) | {"program": program, "token": secrets.token_hex(8)}
    reading, writing = os.pipe()
    try:
        process = subprocess.Popen(
            [_python(), "-I", "-S", "-B", str(_FOLDER / "jail.py"), str(writing)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, pass_fds=[writing], env={},
            cwd="/", start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        os.close(reading)
        raise SandboxError(f"Python could not be started: {error}") from error
    finally:
        os.close(writing)
    try:
        with process.stdin as stdin:  # type: ignore[union-attr]
            stdin.write(json.dumps(order).encode())
        printed, status, late = _watch(process, reading, limits)
    except BrokenPipeError as error:
        raise SandboxError("the launcher ended before it had read its order") from error
    finally:
        _end(process)
        os.close(reading)
    return _verdict(printed, status, limits, late=late)


@functools.cache
def _surroundings() -> dict[str, Any]:
    """The part of an order that all answers share."""
    base = Path(sys.base_prefix)
    python = Path(_python())
    # NumPy is what the tests of some public tasks import; it is shown as a folder beside no other package.
    spec = importlib.util.find_spec("numpy")
    home = Path(spec.origin).parent if spec and spec.origin else None
    packages = [path for path in (home, home.with_name("numpy.libs")) if path.is_dir()] if home else []
    return {
        "python": str(python),
        "boot": (_FOLDER / "boot.py").read_text(encoding="utf-8"),
        "filter": syscalls.denial().hex(),
        "numbers": syscalls.numbers(),
        "shown": [str(python), *(str(base / name) for name in ("lib", "lib64"))],
        "packages": {str(path): f"/packages/{path.name}" for path in packages},
    }


def _python() -> str:
    """The interpreter itself, not that of a virtual environment, whose files lie elsewhere."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def _watch(process: subprocess.Popen[bytes], reading: int, limits: Limits) -> tuple[int, bytes, bool]:
    """Reads what an answer prints and what the jail reports, until both are closed or a limit is passed.

    Returns:
        Bytes printed, at most one more than allowed; the report; whether time was up.
    """
    printed, status = 0, b""
    end = time.monotonic() + limits.wall_seconds
    output = process.stdout.fileno()  # type: ignore[union-attr]
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        selector.register(reading, selectors.EVENT_READ)
        while selector.get_map():
            left = end - time.monotonic()
            if left <= 0:
                return printed, status, True
            for key, _ in selector.select(left):
                if not (chunk := os.read(key.fd, _CHUNK)):
                    selector.unregister(key.fd)
                elif key.fd == reading:
                    status += chunk
                else:
                    printed += len(chunk)
            if printed > limits.output:
                return printed, status, False
    return printed, status, False


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the launcher, and with it the namespace and all its processes."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


def _verdict(printed: int, status: bytes, limits: Limits, *, late: bool) -> Verdict:
    if printed > limits.output:
        return Verdict("output", f"printed more than {limits.output >> 10} KiB")
    if late:
        return Verdict("time", f"took more than {limits.wall_seconds} s")
    if not status:
        return Verdict("ended", "its sandbox was killed, perhaps because the machine ran out of memory")
    report = json.loads(status.splitlines()[0])
    if "broken" in report:
        raise SandboxError(str(report["broken"]))
    killed, said = report["signal"], str(report["said"])
    # The limit counts whole ticks, the report what was used of them: half as much, where the machine is crowded.
    if killed and report["cpu"] >= 0.5 * limits.cpu_seconds:
        return Verdict("time", f"computed for more than {limits.cpu_seconds} s")
    if killed:
        return Verdict("ended", f"crashed ({signal.Signals(killed).name})")
    cause, _, detail = said.partition(" ")
    return Verdict(cause, detail) if cause in CAUSES else Verdict("ended", "ended before its end was reached")


@functools.cache
def refusal() -> str | None:
    """Why programs cannot be run here and what to do about it; None where they can.

    A program of ours is run that tries what programs must not be able to do.
    """
    if not sys.platform.startswith("linux"):
        return remedy("platform")
    if not syscalls.numbers():
        return remedy("machine")
    try:
        verdict = run((_FOLDER / "trial.py").read_text(encoding="utf-8"), Limits(processes=4))
    except SandboxError as error:
        return remedy("system", str(error))
    return None if verdict.passed else remedy("leak", verdict.detail)
