"""One run, many workers, each a process of its own; whatever happens to them, the records are one machine's."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from evomerge.contracts.watching import gone, wait_for
from tests.run.family import Family, answers, records
from tests.run.shared import provenance, recorded, submitted, workers

pytestmark = [pytest.mark.slow, pytest.mark.faults]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_records_are_those_of_one_process(family: Family, finished: Path, tmp_path: Path, count: int) -> None:
    """Workers are named by their task, or by the index of their pod."""
    run = submitted(family, tmp_path / "run")
    with workers(run) as joined:
        for number in range(count):
            joined.start({"JOB_COMPLETION_INDEX": str(number)} if number % 2 else {"SLURM_ARRAY_TASK_ID": str(number)})
        assert joined.codes() == [0] * count
    assert records(run) == records(finished)
    assert answers(run) == answers(finished)
    assert (run / "report.html").exists()
    names = {name.split()[0] for name in provenance(run)}
    assert names <= {f"pod-{number}" if number % 2 else f"task-{number}" for number in range(count)}
    assert names
    assert not (run / "work" / "jobs").exists()


def test_whoever_vanishes_others_go_on(family: Family, finished: Path, tmp_path: Path) -> None:
    """The driver is killed, then the worker that drives, with its processes; one joins late and ends the run."""
    run = submitted(family, tmp_path / "run")
    with workers(run) as joined:
        first = joined.start()
        wait_for(lambda: recorded(run) >= 2, 120)
        second = joined.start()
        os.kill(joined.children(first)["driver"], signal.SIGKILL)
        wait_for(lambda: recorded(run) >= 5, 120)
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
        wait_for(lambda: recorded(run) >= 9, 120)
        third = joined.start()
        os.kill(second.pid, signal.SIGKILL)
        second.wait()
        joined.processes = [third]
        assert joined.codes() == [0]
    assert records(run) == records(finished)
    assert answers(run) == answers(finished)


def test_a_worker_that_is_told_to_leave_hands_over(family: Family, finished: Path, tmp_path: Path) -> None:
    """Its driver releases the run, its claims are free at once, and it says that it wants to be started again."""
    run = submitted(family, tmp_path / "run", **{"executor.options.grace": 600.0})
    with workers(run) as joined:
        first = joined.start(finish=0)
        wait_for(lambda: recorded(run) >= 2, 120)
        children = joined.children(first)
        assert children.keys() == {"driver", "process"}
        first.send_signal(signal.SIGUSR1)
        assert first.wait(60) == 75
        assert all(map(gone, children.values()))
        assert not list((run / "work" / "jobs").glob("*.claim"))
        assert not list((run / "records").glob(".lease.*"))
        before = recorded(run)
        second = joined.start()
        wait_for(lambda: recorded(run) > before, 120)
        second.send_signal(signal.SIGTERM)
        assert second.wait(60) == 75
        joined.processes = [joined.start()]
        assert joined.codes() == [0]
    assert records(run) == records(finished)


def test_a_worker_that_is_refused_says_why(family: Family, own_family: Family, tmp_path: Path) -> None:
    """The items have changed since the run began: its process cannot be made, and it does not come back."""
    run = submitted(own_family, tmp_path / "run")
    with workers(run) as joined:
        driver = joined.start()
        wait_for(lambda: recorded(run) >= 2, 120)
        data = own_family.folder / "tasks" / "first.jsonl"
        data.write_text("\n".join(data.read_text().splitlines()[:-20]) + "\n")
        joined.start()
        wait_for(lambda: joined.processes[1].poll() is not None, 120)
        assert joined.processes[1].returncode == 2
        assert "the tasks have changed since the run began" in joined.log(1).read_text()
        assert driver.poll() is None


def test_a_run_that_failed_is_over(family: Family, tmp_path: Path) -> None:
    """For the same reason everywhere: no worker tries again and again."""
    (tmp_path / "never.py").write_text("def never(model, tokenizer):\n    raise RuntimeError('no luck')\n")
    run = submitted(family, tmp_path / "run", functions=f"[{tmp_path / 'never.py'}:never]", objectives="[python.never]")
    with workers(run) as joined:
        joined.start()
        assert joined.codes() == [1]
        began = time.monotonic()
        joined.processes = [joined.start()]
        assert joined.codes() == [1]
        assert time.monotonic() - began < 60
    assert "no luck" in (run / "work" / "over.json").read_text()
