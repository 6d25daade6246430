"""Folders appear when they are complete; what a killed process leaves is found and removed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from evomerge.checkpoints import appearing, give_config, hold_back_config
from tests.apart import Apart

CODE = """
import sys, time
from pathlib import Path
from evomerge.checkpoints import appearing, hold_back_config
with appearing(Path(sys.argv[1])) as folder:
    (folder / "config.json").write_text("{}")
    hold_back_config(folder)
    (folder / "model.safetensors").write_text("half")
    print("written", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_process_leaves(apart: Apart, tmp_path: Path) -> None:
    out = tmp_path / "made" / "out"
    other = apart.start(CODE, str(out))
    while "written" not in other._out.read_text():
        assert other.poll() is None
        time.sleep(0.01)
    (draft,) = out.parent.iterdir()
    assert draft.name.startswith(".out.")
    assert not (draft / "out" / "config.json").exists()
    assert (draft / "out" / "model.safetensors").exists()
    with appearing(out) as folder:  # beside a process that is at it
        assert draft.exists()
        assert folder.parent != draft
    out.rmdir()
    os.kill(other.pid, 9)
    other.wait()
    (out.parent / ".out.backup").mkdir()  # none of ours
    (out.parent / ".out.01234567").mkdir()  # of one that was killed before it had its lease
    with appearing(out) as folder:
        assert not draft.exists()
        (folder / "config.json").write_text("{}")
        hold_back_config(folder)
        give_config(folder)
    assert sorted(path.name for path in out.parent.iterdir()) == [".out.backup", "out"]
    assert [path.name for path in out.iterdir()] == ["config.json"]


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with appearing(tmp_path / "new" / "out", made=False) as folder:
            folder.mkdir()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not any(tmp_path.iterdir())
