"""Workers of a run are verified when they start, in every session; a run goes on only with workers like its first."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from evomerge.candidate import ModelSettings
from evomerge.candidate.known_answers import ANSWERS
from evomerge.run.run_config import RunConfig
from evomerge.run.runtime import tolerance_of
from tests.run.family import Family, records


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A finished run that may be gone on with."""
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def doctored(run: Path) -> None:
    """Makes the run's first worker one of another processor."""
    data = json.loads((run / ANSWERS).read_text())
    data["responses"][0]["logprobs"][0] *= 1 + 1e-6
    data["circumstances"]["device"]["instructions"] = "OTHER"
    (run / ANSWERS).write_text(json.dumps(data))


def test_a_session_on_another_kind_of_machine_is_refused_before_it_scores_unless_it_is_tolerated(
    family: Family, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    doctored(run)
    assert family.search(run) == 0, "who has nothing to score needs no worker"
    before = {path: path.read_bytes() for path in (run / "records").iterdir()}
    assert family.search(run, evaluations=18) == 2
    said = capsys.readouterr().err
    assert "instead of OTHER" in said
    assert "set model.tolerance=" in said
    assert {path: path.read_bytes() for path in (run / "records").iterdir()} == before
    assert family.search(run, evaluations=18, model__tolerance=1e-5) == 0
    assert len([e for e in records(run) if e["split"] == "search" and e["name"] is None]) == 18


def test_a_run_that_began_before_workers_were_verified_goes_on(family: Family, run: Path, finished: Path) -> None:
    (run / ANSWERS).unlink()
    assert family.search(run) == 0
    assert not (run / ANSWERS).exists()
    assert family.search(run, evaluations=13) == 0
    assert (run / ANSWERS).read_bytes() == (finished / ANSWERS).read_bytes()


def test_records_are_to_be_equal_unless_somebody_says_otherwise() -> None:
    assert tolerance_of(RunConfig()) == 0.0
    assert tolerance_of(RunConfig(mode="asynchronous")) == 0.01
    told = ModelSettings(tolerance=0.0)
    assert tolerance_of(RunConfig(mode="asynchronous", model=told)) == 0.0


@pytest.mark.slow
def test_processes_are_verified_each(family: Family, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    processes = {"executor": "processes", "executor.workers": 2}
    doctored(run)
    assert family.search(run, evaluations=20, **processes) == 2
    assert "does not answer as the run's first worker did" in capsys.readouterr().err
    assert len([e for e in records(run) if e["split"] == "search" and e["name"] is None]) == 12
