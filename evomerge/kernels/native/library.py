"""Library of the C kernels: compiled from ``csrc`` on first use and kept in the user's cache."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import itertools
import os
import platform
import shlex
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

CSRC = Path(__file__).with_name("csrc")

# Nothing that would let a compiler change a result: no contraction to fused operations, no reordering of sums.
_FLAGS = (
    "-O3",
    "-march=native",
    "-std=gnu11",
    "-fPIC",
    "-pthread",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-strict-aliasing",
    "-Werror=implicit-function-declaration",
)
_COMPILERS = ("cc", "gcc", "clang")


@dataclass(frozen=True)
class Library:
    """The loaded library.

    Attributes:
        handle: Its functions.
        compiler: The command that it was built with: a compiler's path, or a launcher's and the compiler.
    """

    handle: ctypes.CDLL
    compiler: str


@functools.cache
def load() -> Library:
    """The library for this process, see :func:`open_library`."""
    return open_library(os.environ)


def open_library(environment: Mapping[str, str]) -> Library:
    """Opens the library; compiles it if the user's cache has none for these sources, compiler and processor.

    Args:
        environment: Environment variables: PATH and CC name the compiler, XDG_CACHE_HOME the cache. CC may name a
            launcher first (``ccache gcc``); its options are left out, since they could change results.

    Raises:
        OSError: If there is no compiler, or a file can be neither read nor written.
        SubprocessError: If the compiler fails.
    """
    compiler = _find_compiler(environment)
    name = f"kernels-{_key(compiler)}.so"
    with contextlib.ExitStack() as stack:
        folder = _private_folder(environment) or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        path = folder / name
        if _is_ours(path):
            with contextlib.suppress(OSError):  # damaged: made again
                return Library(ctypes.CDLL(str(path)), compiler)
        build(compiler, path)
        return Library(ctypes.CDLL(str(path)), compiler)


def _find_compiler(environment: Mapping[str, str]) -> str:
    """Command of the C compiler: that of CC, else the first of cc, gcc and clang."""
    named = list(itertools.takewhile(lambda word: not word.startswith("-"), environment.get("CC", "").split()))
    for name, *launched in filter(None, (named, *([name] for name in _COMPILERS))):
        path = shutil.which(name, path=environment.get("PATH"))
        if path:
            return shlex.join([path, *launched])
    raise FileNotFoundError("there is no C compiler (cc, gcc or clang); install one, e.g. the package gcc")


def explain(error: Exception) -> str:
    """One sentence on why :func:`load` failed."""
    if isinstance(error, subprocess.CalledProcessError):
        return f"the C compiler failed: {(error.stderr or '').strip()[-300:]}"
    return str(error)


def build(compiler: str, path: Path) -> None:
    """Writes the library under another name first: several processes may be at it, and any of them may be killed."""
    command = shlex.split(compiler)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        built = Path(scratch) / path.name
        objects = {str(source): str(Path(scratch) / f"{source.stem}.o") for source in sorted(CSRC.glob("*.c"))}
        _run_all([[*command, *_FLAGS, "-c", "-o", made, source] for source, made in objects.items()])
        _run_all([[*command, *_FLAGS, "-shared", "-o", str(built), *objects.values()]])
        built.chmod(0o700)
        built.replace(path)


def _run_all(commands: Sequence[Sequence[str]]) -> None:
    """Runs commands side by side.

    Raises:
        CalledProcessError: With what the first that failed wrote.
    """
    with ThreadPoolExecutor(len(commands)) as pool:
        list(pool.map(_run, commands))


def _run(words: Sequence[str]) -> str:
    """Runs a command, and gives what it wrote, whatever bytes these are."""
    return subprocess.run(words, check=True, capture_output=True, text=True, errors="replace", timeout=120).stdout


def _key(compiler: str) -> str:
    """A hash of all that the library depends on: source, flags, compiler, and the processor it was compiled for."""
    version = _run([*shlex.split(compiler), "--version"])
    processor = platform.machine() + platform.processor()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        # The flags and the name decide what -march=native means; frequencies change all the time.
        words = ("flags", "Features", "model name", "cpu family", "model", "CPU part")
        processor += "".join(sorted({line for line in lines if line.split(":")[0].strip() in words}))
    sources = [path.name.encode() + path.read_bytes() for path in sorted(CSRC.glob("*.[ch]"))]
    parts = (*sources, " ".join(_FLAGS).encode(), compiler.encode(), version.encode(), processor.encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:24]


def _private_folder(environment: Mapping[str, str]) -> Path | None:
    """A folder of the user's cache that nobody else can write to, or None."""
    root = environment.get("XDG_CACHE_HOME")
    try:
        folder = (Path(root) if root else Path.home() / ".cache") / "evomerge" / "kernels"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = folder.lstat()
    except (OSError, RuntimeError):
        return None
    safe = stat.S_ISDIR(state.st_mode) and state.st_uid == os.getuid() and not state.st_mode & 0o022
    return folder if safe and os.access(folder, os.W_OK) else None


def _is_ours(path: Path) -> bool:
    """Whether a library is there that this user wrote and nobody else can write to."""
    try:
        state = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(state.st_mode) and state.st_uid == os.getuid() and not state.st_mode & 0o022
