"""Workers as jobs of submitit, whose local executor starts them as it starts those of SLURM."""

from __future__ import annotations

from pathlib import Path

import pytest

from evomerge.cli.main import main
from tests.run.family import Family, records
from tests.run.shared import provenance, submitted

submitit = pytest.importorskip("submitit", reason="needs submitit, which nothing here depends on")


@pytest.mark.slow
def test_an_array_of_jobs_runs_a_search(family: Family, finished: Path, tmp_path: Path) -> None:
    run = submitted(family, tmp_path / "run")
    executor = submitit.LocalExecutor(tmp_path / "jobs")
    executor.update_parameters(timeout_min=60, tasks_per_node=1)
    jobs = executor.map_array(main, [["worker", f"run={run}", "workers=1", f"name=job-{number}"] for number in (1, 2)])
    assert [job.result() for job in jobs] == [0, 0], [job.stderr() for job in jobs]
    assert records(run) == records(finished)
    assert {name.split()[0] for name in provenance(run)} <= {"job-1", "job-2"}
