"""One run, many workers, each a process of its own; whatever happens to them, the records are one machine's."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from evomerge.contracts.watching import gone, wait_for
from evomerge.lease import EXPIRY
from tests.executors.test_crowd import host, needs_hosts
from tests.run.family import Family, answers, records
from tests.run.shared import PATIENCE, provenance, recorded, submitted, workers

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
        wait_for(lambda: recorded(run) >= 2, PATIENCE)
        second = joined.start()
        os.kill(joined.children(first)["driver"], signal.SIGKILL)
        wait_for(lambda: recorded(run) >= 5, PATIENCE)
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
        wait_for(lambda: recorded(run) >= 9, PATIENCE)
        third = joined.start()
        os.kill(second.pid, signal.SIGKILL)
        second.wait()
        joined.processes = [third]
        assert joined.codes() == [0]
    assert records(run) == records(finished)
    assert answers(run) == answers(finished)


@pytest.mark.network
def test_a_host_that_is_gone_is_succeeded_by_another(family: Family, finished: Path, tmp_path: Path) -> None:
    """Two hosts without a network, which see each other's files alone; the one with the driver is lost."""
    needs_hosts()
    run = submitted(family, tmp_path / "run")
    with workers(run, lambda number: host(f"node-{number}")) as joined:
        first = joined.start()
        wait_for(lambda: recorded(run) >= 3, PATIENCE)
        second = joined.start()
        wait_for(lambda: len(list((run / "work" / "workers").glob("*.alive"))) == 2, PATIENCE)
        assert joined.children(first).keys() == {"driver", "process"}
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
        leases = [*(run / "records").glob(".lease.*"), *(run / "work" / "driver").glob(".lease.*")]
        assert len(leases) == 2, "nobody can see there that their holders are dead"
        for lease in leases:
            os.utime(lease, (lease.stat().st_mtime - EXPIRY,) * 2)
        joined.processes = [second]
        assert joined.codes() == [0]
    assert records(run) == records(finished)
    assert answers(run) == answers(finished)


def test_a_worker_that_is_told_to_leave_hands_over(family: Family, finished: Path, tmp_path: Path) -> None:
    """Its driver releases the run, its claims are free at once, and it says that it wants to be started again."""
    run = submitted(family, tmp_path / "run", **{"executor.options.grace": 600.0})
    with workers(run) as joined:
        first = joined.start(finish=0)
        wait_for(lambda: recorded(run) >= 2, PATIENCE)
        children = joined.children(first)
        assert children.keys() == {"driver", "process"}
        first.send_signal(signal.SIGUSR1)
        assert first.wait(PATIENCE) == 75
        assert all(map(gone, children.values()))
        assert not list((run / "work" / "jobs").glob("*.claim"))
        assert not list((run / "records").glob(".lease.*"))
        before = recorded(run)
        second = joined.start()
        wait_for(lambda: recorded(run) > before, PATIENCE)
        second.send_signal(signal.SIGTERM)
        assert second.wait(PATIENCE) == 75
        joined.processes = [joined.start()]
        assert joined.codes() == [0]
    assert records(run) == records(finished)


def test_a_worker_that_is_refused_says_why(family: Family, own_family: Family, tmp_path: Path) -> None:
    """The items have changed since the run began: its process cannot be made, and it does not come back."""
    run = submitted(own_family, tmp_path / "run")
    with workers(run) as joined:
        driver = joined.start()
        wait_for(lambda: recorded(run) >= 2, PATIENCE)
        data = own_family.folder / "tasks" / "first.jsonl"
        data.write_text("\n".join(data.read_text().splitlines()[:-20]) + "\n")
        joined.start()
        wait_for(lambda: joined.processes[1].poll() is not None, PATIENCE)
        assert joined.processes[1].returncode == 2
        assert "the tasks have changed since the run began" in joined.log(1).read_text()
        assert driver.poll() is None


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and the program unshare")
def test_a_machine_that_cannot_drive_works_for_one_that_can(family: Family, finished: Path, tmp_path: Path) -> None:
    """It does not see the run that the search starts from, which candidates do not need."""
    assert family.search(tmp_path / "alone", start_from=finished) == 0
    run = submitted(family, tmp_path / "run", start_from=finished, **{"executor.options.grace": 60.0})
    hidden = ["unshare", "-m", "sh", "-c", f'mount -t tmpfs none {finished.parent} && exec "$@"', "sh"]
    with workers(run, lambda number: [] if number else hidden) as joined:
        joined.start()
        wait_for(lambda: "this worker goes on" in joined.log(0).read_text(), PATIENCE)
        assert f"{finished}" in joined.log(0).read_text(), "what its driver lacks"
        joined.start()
        assert joined.codes() == [0, 0]
    assert records(run) == records(tmp_path / "alone")


def test_a_run_that_failed_is_over(family: Family, tmp_path: Path) -> None:
    """For the same reason everywhere: no worker tries again and again."""
    (tmp_path / "never.py").write_text("def never(model, tokenizer):\n    raise RuntimeError('no luck')\n")
    run = submitted(
        family,
        tmp_path / "run",
        functions=f"[{tmp_path / 'never.py'}:never]",
        objectives="[python.never]",
        searcher="ga",
    )
    with workers(run) as joined:
        joined.start()
        assert joined.codes() == [1]
        assert joined.start().wait(PATIENCE) == 1
        assert "no luck" in joined.log(1).read_text()
    assert "no luck" in (run / "work" / "over.json").read_text()
