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
