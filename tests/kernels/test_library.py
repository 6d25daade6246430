"""Where the library of the native kernels comes from, and what happens where there is none."""

from __future__ import annotations

import _ctypes
import ctypes
import os
import shutil
from pathlib import Path

import pytest

from evomerge.errors import InputError
from evomerge.kernels.form import Kernels, choose
from evomerge.kernels.native.library import Library, open_library
from tests.apart import Apart

COMPILER = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")


def program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def quick(tmp_path: Path) -> dict[str, str]:
    """An environment with an empty cache and this machine's compiler, which optimises nothing so as to be quick."""
    compiler = program(tmp_path / "compiler", f'exec {COMPILER} "$@" -O0')
    return {"CC": str(compiler), "PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(tmp_path / "cache")}


def libraries(environment: dict[str, str]) -> list[Path]:
    return sorted((Path(environment["XDG_CACHE_HOME"]) / "evomerge" / "kernels").glob("*"))


def opens(environment: dict[str, str]) -> bool:
    """Opens the library, looks for its functions, and closes it: what is open would not be read again."""
    handle = open_library(environment).handle
    found = all(hasattr(handle, f"evomerge_{name}") for name in ("run", "mix", "pcb", "sort_keys"))
    _ctypes.dlclose(handle._handle)
    return found


def never() -> Library:
    raise AssertionError("the library was opened")


def test_the_environment_chooses() -> None:
    assert choose("", lambda: Library(ctypes.CDLL(None), "/bin/cc")) == Kernels("native", "compiled by /bin/cc")
    assert choose("torch", never) == Kernels("torch", "EVOMERGE_KERNELS=torch asks for it")
    with pytest.raises(InputError, match="EVOMERGE_KERNELS is 'numba'; set it to native or torch"):
        choose("numba", never)


def test_without_a_compiler_torch_does_the_work_and_says_what_to_install(tmp_path: Path) -> None:
    nothing = {"PATH": str(tmp_path), "CC": "", "XDG_CACHE_HOME": str(tmp_path)}
    used = choose("", lambda: open_library(nothing))
    assert used.name == "torch"
    assert "install one" in used.reason
    with pytest.raises(InputError, match="EVOMERGE_KERNELS=native, but there is no C compiler"):
        choose("native", lambda: open_library(nothing))


def test_a_compiler_that_fails_is_quoted(tmp_path: Path) -> None:
    broken = program(
        tmp_path / "cc", r'printf "\377"' + '\n[ "$1" = --version ] && exit 0\nprintf "out of order \\377" >&2\nexit 1'
    )
    used = choose("", lambda: open_library({"CC": str(broken), "XDG_CACHE_HOME": str(tmp_path)}))
    assert used.name == "torch"
    assert "out of order" in used.reason
    assert libraries({"XDG_CACHE_HOME": str(tmp_path)}) == []


@needs_compiler
def test_a_launcher_may_come_before_the_compiler(quick: dict[str, str], tmp_path: Path) -> None:
    """As compiler caches do, which run the compiler that is named after them; options could change results."""
    launcher = program(tmp_path / "caching", 'exec "$@"')
    command = f"{launcher} {quick['CC']}"
    library = open_library(quick | {"CC": f"{command} -ffast-math --no-such-option"})
    assert library.compiler == command
    _ctypes.dlclose(library.handle._handle)


@needs_compiler
def test_is_compiled_once_and_mended(quick: dict[str, str]) -> None:
    assert opens(quick)
    (library,) = libraries(quick)
    written = library.stat().st_mtime_ns
    assert opens(quick)
    assert library.stat().st_mtime_ns == written
    library.write_bytes(b"not a library")
    assert opens(quick)
    assert libraries(quick) == [library]
    assert library.stat().st_size > 100


@needs_compiler
@pytest.mark.parametrize("mode", [pytest.param(0o777, marks=pytest.mark.slow), 0o720])
def test_a_folder_or_library_that_others_can_write_to_is_not_trusted(quick: dict[str, str], mode: int) -> None:
    folder = Path(quick["XDG_CACHE_HOME"]) / "evomerge" / "kernels"
    folder.mkdir(parents=True)
    folder.chmod(mode)
    assert opens(quick)
    assert libraries(quick) == []
    folder.chmod(0o700)
    assert opens(quick)
    (library,) = libraries(quick)
    library.write_bytes(b"planted")
    library.chmod(mode)
    assert opens(quick)
    assert library.stat().st_mode & 0o022 == 0


CHILD = """
import torch
from evomerge.kernels import Mixture, Part, in_use, mix
out = torch.empty(3, dtype=torch.bfloat16)
mix(Mixture(torch.ones(3), [Part(torch.tensor([1.0, 2.0, 4.0]), 0.5)]), out)
print(out.tolist(), in_use().name)
"""


@needs_compiler
def test_two_processes_at_once(bare: Apart, quick: dict[str, str]) -> None:
    both = [bare.start(CHILD, **{"EVOMERGE_KERNELS": None, **quick}) for _ in range(2)]
    assert [process.output() for process in both] == ["[1.0, 1.5, 2.5] native\n"] * 2
    assert len(libraries(quick)) == 1


FORKED = """
import os, threading
import torch
from evomerge.kernels import Mixture, Part, mix
torch.set_num_threads(3)
model = torch.arange(1 << 20, dtype=torch.float32)


def merged(weight):
    out = torch.empty_like(model)
    mix(Mixture(None, [Part(model, weight)]), out)
    # numpy compares, since torch's own threads do not survive a fork
    return bool((out.numpy() == model.numpy() * weight).all())


found = []
threads = [threading.Thread(target=lambda w=w: found.extend(merged(w) for _ in range(20))) for w in (2.0, 3.0, 4.0)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
child = os.fork()
if child == 0:
    os._exit(0 if merged(5.0) else 1)
print(all(found), len(found), merged(6.0), os.waitpid(child, 0)[1])
"""


def test_threads_of_python_and_forked_processes_merge_as_well(bare: Apart) -> None:
    assert bare.run(FORKED).split() == ["True", "60", "True", "0"]
