"""A real array job: SLURM starts the workers, tells one of them to leave, and queues it again."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from evomerge.contracts.watching import wait_for
from tests.run.family import Family, answers, records
from tests.run.shared import PATIENCE, provenance, recorded, submitted
from tests.run.slurm import slurm


@pytest.mark.slow
@pytest.mark.faults
def test_an_array_job_runs_a_search_and_a_task_that_was_told_to_leave_comes_back(
    family: Family, finished: Path, tmp_path: Path
) -> None:
    with tempfile.TemporaryDirectory() as short, slurm(Path(short)) as cluster:  # sockets have short names
        asked = {"workers": 2, "gpus": 0, "cpus": 1, "memory": "1GB", "time": "1:00:00"}
        run = submitted(family, tmp_path / "run", **{f"submit.{name}": value for name, value in asked.items()})
        assert "Submitted batch job" in cluster.run("sbatch", str(run / "job.sbatch"))
        wait_for(lambda: recorded(run) >= 3, PATIENCE)
        job = cluster.tasks()["0"]
        cluster.run("scancel", "--signal=USR1", "--batch", f"{job['ArrayJobId']}_0")
        log = run / "worker-0.log"
        wait_for(lambda: "left the run" in log.read_text(), PATIENCE)
        wait_for(lambda: {task["JobState"] for task in cluster.tasks().values()} == {"COMPLETED"}, PATIENCE)
        assert {number: task["Restarts"] for number, task in cluster.tasks().items()} == {"0": "1", "1": "0"}
    assert records(run) == records(finished)
    assert answers(run) == answers(finished)
    assert {name.split()[0] for name in provenance(run)} <= {"task-0", "task-1"}
