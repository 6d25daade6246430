"""Disks that are full and folders that may not be written to, tried for real."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_MOUNTS = ["unshare", "--mount", "--propagation", "private"]


def may_mount() -> bool:
    return (
        shutil.which("unshare") is not None and subprocess.run([*_MOUNTS, "true"], capture_output=True).returncode == 0
    )


needs_mounts = pytest.mark.skipif(not may_mount(), reason="no mount namespace may be made here")


@pytest.mark.faults
@needs_mounts
@pytest.mark.parametrize("name", ["nsga2", "nsga2+rotating"])
def test_a_search_goes_on_when_a_full_disk_has_room_again(name: str, tmp_path: Path) -> None:
    words = [*_MOUNTS, sys.executable, "-m", "tests.faults.full_disk", str(tmp_path), name]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["same"]
    assert found["drafts"] == [], "what is written in one step is there or not"
    assert len(found["errors"]) > 5
    assert all(
        "No space left on device" in error and str(tmp_path / "disk" / "run") in error for error in found["errors"]
    )
    files = {Path(error.split()[2].rstrip(":")).name for error in found["errors"]}
    assert len(files) > 2, "the disk was full at several places"


@pytest.mark.faults
@needs_mounts
def test_a_full_disk_is_one_clear_sentence_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    """A search with prepared state, a report and an export, by the program."""
    words = [*_MOUNTS, sys.executable, "-m", "tests.faults.full_disk_program", str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    *failed, (code, _, _) = found["searches"]
    assert code == 0
    assert failed
    for code, said, drafts in failed:
        assert code in (1, 2)
        assert str(tmp_path / "disk" / "run") in said
        assert "No space left on device" in said
        assert drafts == []
    assert found["same"]
    code, said = found["report"]
    assert code == 1
    assert said.startswith(f"evomerge: {tmp_path / 'disk' / 'run'}/")
    assert said.endswith("No space left on device; make room and repeat the command (--debug shows where)")
    assert found["unharmed"]
    code, said = found["export"]
    assert code == 1
    assert "No space left on device; make room and repeat the command" in said
    assert found["left"] == ["ballast", "run"]
    assert found["again"] == [0, 0]
