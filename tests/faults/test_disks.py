"""Disks that are full and folders that may not be written to, tried for real."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.drivers import drive
from tests.search.sessions import memory
from tests.search.test_kill import records

ROOT = Path(__file__).parents[2]
_MOUNTS = ["unshare", "--mount", "--propagation", "private"]


def may_mount() -> bool:
    return (
        shutil.which("unshare") is not None and subprocess.run([*_MOUNTS, "true"], capture_output=True).returncode == 0
    )


NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
needs_nobody = pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("setpriv") is None, reason="only root may become a user without rights"
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


@pytest.mark.faults
@needs_nobody
def test_a_folder_that_may_not_be_written_to_is_told_and_left_alone(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A run of somebody else's: it can be looked at, and neither gone on with nor reported on."""
    with memory(tmp_path_factory.mktemp("others")) as place:
        run = place / "run"
        assert drive(run, 0.0) == "finished"
        for path in (place, *place.rglob("*")):
            path.chmod(stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH | (path.is_dir() and 0o111))
        before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
        done = subprocess.run(
            [*NOBODY, sys.executable, "-c", LOOK, str(run)], cwd="/", capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": "/nonexistent", "MPLCONFIGDIR": "/dev/shm"},
        )  # fmt: skip
        if "ModuleNotFoundError" in done.stderr or "Permission denied: '" + str(ROOT) in done.stderr:
            pytest.skip("the program lies where a user without rights cannot read it")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["read"] == len(records(run))
        assert found["open"] == (
            f"InputError: {run} may not be written to; choose another run_dir, or let its owner go on with it"
        )
        assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
        assert set(run.rglob("*")) >= set(before)


LOOK = """
import json, sys
from pathlib import Path
from evomerge.store import RunStore
found = {"read": len(RunStore.read(sys.argv[1]).evaluations())}
try:
    RunStore.open(sys.argv[1], {}, {"search": "drivers"})
    found["open"] = "opened"
except Exception as error:
    found["open"] = f"{type(error).__name__}: {error}"
print(json.dumps(found))
"""
