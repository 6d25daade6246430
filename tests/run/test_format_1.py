"""A run of the first release is exported as that release would; it is not gone on with."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from evomerge.cli.main import main
from tests.building import perturbed, tiny_llama

RUNS = Path(__file__).parents[1] / "fixtures" / "runs_format_1"


@pytest.fixture
def old_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the runs were made in: models, tasks and runs."""
    tiny_llama(tmp_path / "base", 0)
    for seed, name in enumerate(("one", "two"), start=1):
        perturbed(tmp_path / "base", tmp_path / name, seed, 0.15)
    shutil.copytree(RUNS / "tasks", tmp_path / "tasks")
    shutil.copytree(RUNS / "two_objectives", tmp_path / "runs" / "two_objectives")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_member_is_exported_and_checked(old_desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "run=runs/two_objectives", "member=knee", "out=merged"]) == 0
    # Zero on the processor that recorded it, the last bits on another.
    told = re.search(r"asked 20 test items again: largest difference in log-likelihood (\S+) ", capsys.readouterr().out)
    assert told is not None
    assert float(told[1]) < 1e-4
    assert (old_desk / "merged" / "model.safetensors").exists()


def test_it_is_not_gone_on_with(old_desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["models=[one,two]", "base=base", "tasks=[first,second]", "task_path=tasks", "evaluations=20"]
    before = {path: path.read_bytes() for path in (old_desk / "runs").rglob("*") if path.is_file()}
    assert main(["search", *words, "run_dir=runs/two_objectives", "progress=none"]) == 2
    assert "format 1" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (old_desk / "runs").rglob("*") if path.is_file()} == before
