"""Executors: the same outcomes wherever jobs run, and nothing left behind however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from evomerge.errors import InputError
from evomerge.executors import Executor, ExecutorError, in_process, processes
from tests.executors import workers

ROOT = Path(__file__).parents[2]


def results(executor: Executor, numbers: range) -> dict[int, float]:
    """Index to square, each index exactly once."""
    pairs = [
        (index, outcome.responses[0].metrics["square"])
        for index, outcome in executor.run([workers.job(n) for n in numbers])
    ]
    assert len(dict(pairs)) == len(pairs)
    return dict(sorted(pairs))


def wait_for(condition: Callable[[], bool]) -> None:
    """Polls; only a broken build waits to the end."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def gone(pid: int) -> bool:
    """Whether a process is neither running nor a zombie of ours."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # Orphans are reaped by whoever adopts them; until then they show as zombies that do nothing.
    return " Z " in Path(f"/proc/{pid}/stat").read_text().split(")")[-1][:4]


def test_the_number_of_workers_changes_nothing() -> None:
    wanted = {n: float(n * n) for n in range(7)}
    assert results(in_process(workers.make_square), range(7)) == wanted
    for count in (1, 3):
        executor = processes(workers.make_square, count)
        try:
            assert results(executor, range(7)) == wanted
            assert results(executor, range(2)) == {0: 0.0, 1: 1.0}, "workers are kept for the next batch"
            assert list(executor.run([])) == []
        finally:
            executor.close()


def test_workers_are_gone_after_close() -> None:
    executor = processes(workers.make_square, 2)
    pids = {outcome.responses[0].metrics["pid"] for _, outcome in executor.run([workers.job(n) for n in range(6)])}
    assert os.getpid() not in pids
    executor.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    executor.close()
    assert results(executor, range(2)) == {0: 0.0, 1: 1.0}, "a closed executor starts again"
    executor.close()


@pytest.mark.parametrize("where", ["here", "processes"])
def test_an_exception_is_one_failed_candidate(where: str) -> None:
    executor = in_process(workers.make_raising) if where == "here" else processes(workers.make_raising, 1)
    outcomes = dict(executor.run([workers.job(n) for n in range(4)]))
    executor.close()
    failures = {index: (o.error.kind, o.error.message) for index, o in outcomes.items() if o.error}
    assert failures == {1: ("oom", "MemoryError: no room"), 2: ("error", "RuntimeError: no luck")}
    assert outcomes[3].responses[0].metrics["square"] == 9.0


def test_a_killed_worker_is_replaced_and_its_job_retried(tmp_path: Path) -> None:
    executor = processes(workers.DyingOnce(tmp_path, (1, 4)), 2)
    try:
        assert results(executor, range(6)) == {n: float(n * n) for n in range(6)}
    finally:
        executor.close()
    assert len(list(tmp_path.glob("died-*"))) == 2


@pytest.mark.parametrize("count", [1, 2])
def test_a_job_that_kills_every_worker_is_one_failed_candidate(count: int) -> None:
    executor = processes(workers.make_always_killed, count)
    outcomes = list(executor.run([workers.job(n) for n in range(5)]))
    executor.close()
    assert sorted(index for index, _ in outcomes) == [0, 1, 2, 3, 4], "each job has one outcome"
    failures = {index: outcome.error for index, outcome in outcomes if outcome.error}
    assert list(failures) == [3]
    assert failures[3] is not None
    assert failures[3].kind == "oom"
    assert "tried 3 times" in failures[3].message
    assert "was killed (signal 9" in failures[3].message


@pytest.mark.parametrize("where", ["here", "processes"])
def test_bad_input_found_while_making_the_worker_is_told_whole(where: str) -> None:
    executor = in_process(workers.make_refusing) if where == "here" else processes(workers.make_refusing, 2)
    with pytest.raises(InputError) as caught:
        list(executor.run([workers.job(0)]))
    executor.close()
    assert caught.value.problems == ("the first thing", "the second thing")


def test_a_worker_that_cannot_be_made_is_no_candidates_fault() -> None:
    executor = processes(workers.make_broken, 1)
    with pytest.raises(ExecutorError, match="could not be started: OSError: the disk is gone"):
        list(executor.run([workers.job(0)]))
    executor.close()
    executor = processes(workers.make_stillborn, 1)
    with pytest.raises(ExecutorError, match="3 workers in a row ended with exit code 7 before they were ready"):
        list(executor.run([workers.job(0)]))
    executor.close()


def test_leaving_early_abandons_what_runs(tmp_path: Path) -> None:
    executor = processes(workers.Sleeping(tmp_path), 2)
    outcomes = executor.run([workers.job(n) for n in (1, 0)])
    assert next(outcomes)[0] == 1
    wait_for(lambda: bool(list(tmp_path.glob("*.pid"))))
    outcomes.close()
    for trace in tmp_path.glob("*.pid"):
        with pytest.raises(ProcessLookupError):
            os.kill(int(trace.stem), 0)
    assert results(executor, range(1)) == {0: 0.0}, "and it can be used again"
    executor.close()


SCRIPT = """
import signal
import sys
from pathlib import Path
from evomerge.executors import processes
from tests.executors import workers
if __name__ == "__main__":
    # A shell starts its background jobs with SIGINT ignored, and Python then leaves it so.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    executor = processes(workers.Sleeping(Path(sys.argv[1])), 2)
    try:
        list(executor.run([workers.job(1), workers.job(2)]))
    except KeyboardInterrupt:
        executor.close()
        print("interrupted and closed")
"""


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_workers_do_not_outlive_the_program(tmp_path: Path, blow: signal.Signals) -> None:
    """SIGKILL hits the parent alone; SIGINT, as from a terminal, the whole group, and only the parent answers it."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    program = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
    pids = [int(trace.stem) for trace in tmp_path.glob("*.pid")]
    if blow == signal.SIGKILL:
        program.kill()
    else:
        os.killpg(program.pid, signal.SIGINT)
    out, errors = program.communicate()
    for pid in pids:
        wait_for(lambda pid=pid: gone(pid))
    if blow == signal.SIGINT:
        assert (program.returncode, out, errors) == (0, "interrupted and closed\n", "")


def test_no_workers_are_no_executor() -> None:
    with pytest.raises(ValueError, match="at least 1 worker"):
        processes(workers.make_square, 0)
