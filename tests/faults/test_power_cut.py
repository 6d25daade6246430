"""Power cuts: from whatever they leave of a folder a search goes on to the undisturbed records."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.faults.power_cut import Disk, Inode, calls, strace, torn
from experiments.faults.storage import Traced, tried

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")

WRITER = """
import os, sys
root = sys.argv[1]
os.mkdir(f"{root}/a")
with open(f"{root}/a/log", "ab", buffering=0) as log:
    log.write(b"one\\n")
    os.fsync(log.fileno())
    log.write(b"two\\n")
    with open(f"{root}/a/.draft", "xb") as draft:
        draft.write(b"whole")
    os.rename(f"{root}/a/.draft", f"{root}/a/page")
    os.ftruncate(log.fileno(), 6)
with open(f"{root}/gone", "w") as file:
    file.write("x")
os.unlink(f"{root}/gone")
"""


@needs_strace
def test_a_trace_tells_what_lies_in_the_folder(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    subprocess.run([*strace(tmp_path / "trace"), sys.executable, "-c", WRITER, str(root)], check=True)
    disk = Disk(str(root))
    assert sum(disk.apply(call) for call in calls(tmp_path / "trace")) == 11
    assert disk.seen() == {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_what_was_waited_for_survives_and_nothing_else_must() -> None:
    draw, inode = random.Random(0), Inode(seen=b"safe" + b"x" * 10_000, safe=b"safe")
    states = {torn(inode, draw) for _ in range(200)}
    assert all(state.startswith(b"safe") for state in states)
    assert {b"safe", inode.seen} < states
    assert any(len(state) == len(inode.seen) and state.endswith(b"\0") for state in states), "zeros at the end"
    assert any(b"\0x" in state for state in states), "zeros before what survived"
    assert torn(Inode(b"same", b"same"), draw) == b"same"


def test_names_survive_in_order_and_for_certain_when_their_folder_was_waited_for() -> None:
    disk = Disk("/r")
    for call in (
        ("openat", f'AT_FDCWD<{hexed("/")}>, "{hexed("/r/log")}", O_WRONLY|O_CREAT', "3"),
        ("openat", f'AT_FDCWD<{hexed("/")}>, "{hexed("/r/.draft")}", O_WRONLY|O_CREAT|O_EXCL', "4"),
        ("write", f'4<{hexed("/r/.draft")}>, "{hexed("page")}", 4', "4"),
        ("fsync", f"4<{hexed('/r/.draft')}>", "0"),
        ("rename", f'"{hexed("/r/.draft")}", "{hexed("/r/page")}"', "0"),
    ):
        assert disk.apply(call)
    assert disk.seen() == {"/r/log": b"", "/r/page": b"page"}
    draw = random.Random(0)
    states = [disk.after_a_cut(draw) for _ in range(100)]
    assert {tuple(sorted(state)) for state in states} == {
        (), ("/r/log",), ("/r/.draft", "/r/log"), ("/r/log", "/r/page"),
    }  # fmt: skip
    assert all(state.get("/r/page", b"page") == b"page" for state in states)
    assert disk.apply(("fsync", f"5<{hexed('/r')}>", "0"))
    assert disk.after_a_cut(draw) == disk.seen()


def hexed(text: str) -> str:
    """A text as strace writes it."""
    return "".join(f"\\x{byte:02x}" for byte in text.encode())


@pytest.mark.faults
@needs_strace
@pytest.mark.parametrize("name", ["nsga2", "nsga2+estimated"])
def test_a_search_goes_on_from_whatever_a_power_cut_left(name: str, tmp_path: Path) -> None:
    traced = Traced.of(name, tmp_path)
    for journalled in (False, True):
        found = tried(traced, journalled, 15, int(os.environ.get("EVOMERGE_SEED", "1")), tmp_path / "state")
        assert not found.wrong
        assert found.different > 10
