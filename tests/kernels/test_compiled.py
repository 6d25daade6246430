"""Where the compiled kernels come from, and what happens where there are none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHILD = """
import torch
from evomerge.kernels import Mixture, Part, in_use, mix
out = torch.empty(3, dtype=torch.bfloat16)
mix(Mixture(torch.ones(3), [Part(torch.tensor([1.0, 2.0, 4.0]), 0.5)]), out)
print(out.tolist(), in_use().name, in_use().reason)
"""
NEEDS_COMPILER = any(map(shutil.which, ("cc", "gcc", "clang")))


def run(cache: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("EVOMERGE_")}
    return subprocess.run(
        [sys.executable, "-c", CHILD],
        capture_output=True,
        text=True,
        env=inherited | {"XDG_CACHE_HOME": str(cache)} | environment,
        timeout=120,
    )


def said(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("[1.0, 1.5, 2.5] ")
    return done.stdout.removeprefix("[1.0, 1.5, 2.5] ").strip()


def libraries(cache: Path) -> list[Path]:
    return sorted((cache / "evomerge" / "kernels").glob("*"))


def test_without_a_compiler_torch_does_the_work_and_says_what_to_install(tmp_path: Path) -> None:
    told = said(run(tmp_path, PATH=str(tmp_path), CC=""))
    assert told.startswith("torch ")
    assert "install one" in told
    refused = run(tmp_path, PATH=str(tmp_path), CC="", EVOMERGE_KERNELS="native")
    assert refused.returncode != 0
    assert "there is no C compiler" in refused.stderr


def test_a_compiler_that_fails_is_quoted(tmp_path: Path) -> None:
    broken = tmp_path / "cc"
    broken.write_text('#!/bin/sh\n[ "$1" = --version ] && exit 0\necho "out of order" >&2\nexit 1\n', encoding="utf-8")
    broken.chmod(0o755)
    told = said(run(tmp_path, CC=str(broken)))
    assert told.startswith("torch ")
    assert "out of order" in told


def test_the_environment_chooses(tmp_path: Path) -> None:
    assert said(run(tmp_path, EVOMERGE_KERNELS="torch")) == "torch EVOMERGE_KERNELS=torch asks for it"
    assert libraries(tmp_path) == []
    wrong = run(tmp_path, EVOMERGE_KERNELS="numba")
    assert "EVOMERGE_KERNELS is 'numba'; set it to native or torch" in wrong.stderr


def native(cache: Path) -> bool:
    return said(run(cache)).startswith("native ") or not NEEDS_COMPILER


def test_is_compiled_once_and_mended(tmp_path: Path) -> None:
    assert native(tmp_path)
    for library in libraries(tmp_path):
        written = library.stat().st_mtime_ns
        assert native(tmp_path)
        assert library.stat().st_mtime_ns == written
        library.write_bytes(b"not a library")
        assert native(tmp_path)
        assert library.stat().st_size > 100
    assert len(libraries(tmp_path)) == NEEDS_COMPILER


@pytest.mark.parametrize("mode", [pytest.param(0o777, marks=pytest.mark.slow), 0o720])
def test_a_folder_or_library_that_others_can_write_to_is_not_trusted(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "evomerge" / "kernels"
    folder.mkdir(parents=True)
    folder.chmod(mode)
    assert native(tmp_path)
    assert libraries(tmp_path) == []
    folder.chmod(0o700)
    assert native(tmp_path)
    for library in libraries(tmp_path):
        library.chmod(mode)
        library.write_bytes(b"planted")
        assert native(tmp_path)
        assert library.stat().st_mode & 0o022 == 0


def test_two_processes_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CHILD]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0] for process in both]
    assert outputs[0] == outputs[1]
    assert all(process.returncode == 0 for process in both)
    assert len(libraries(tmp_path)) == NEEDS_COMPILER


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


def test_threads_of_python_and_forked_processes_merge_as_well() -> None:
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["True", "60", "True", "0"], done.stderr
