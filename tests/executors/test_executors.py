"""Executors beyond their contract."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import pytest

from evomerge import executors
from evomerge.cli.main import main
from evomerge.contracts import workers
from evomerge.errors import InputError
from evomerge.executors import ExecutorError, ExecutorSettings, run


def test_one_process_dies_again_and_again(tmp_path: Path) -> None:
    """Nobody else is there to take the job over."""
    dying = functools.partial(workers.Dying, tmp_path, once=(1,), always=(3,))
    executor = executors.make("processes", dying, workers=1)
    found = {workers.number(r.job): r for r in run(executor, [workers.job(n) for n in range(5)])}
    executor.close()
    assert {number: result.attempt for number, result in found.items()} == {0: 1, 1: 2, 2: 1, 3: 2, 4: 1}
    assert {result.worker for result in found.values()} == {f"process {n}" for n in (1, 2, 3, 4)}
    failure = found[3].outcome.error
    assert failure is not None
    assert failure.message.startswith("tried 2 times; 2 workers died at it, the last was killed (signal 9")


def test_reasons_why_no_process_starts() -> None:
    for make_worker, reason in (
        (workers.make_broken, "a worker could not be started: OSError: the disk is gone"),
        (workers.make_stillborn, "3 workers in a row ended with exit code 7 before they were ready"),
    ):
        executor = executors.make("processes", make_worker, workers=1)
        with pytest.raises(ExecutorError, match=reason):
            list(run(executor, [workers.job(0)]))
        executor.close()


def test_a_process_that_cannot_be_started_leaves_nothing_outstanding() -> None:
    """A worker that cannot be sent to another process; the same job may come again."""
    executor = executors.make("processes", lambda: workers.square, workers=2)
    for _ in range(2):
        with pytest.raises(ExecutorError, match=r"a process could not be started: .*lambda"):
            executor.submit(workers.job(0))
        assert list(executor.results()) == []
    executor.close()


def test_a_job_in_this_process_runs_when_its_result_is_asked_for() -> None:
    done: list[int] = []

    def make() -> executors.Worker:
        def work(job: workers.Job) -> workers.Outcome:
            done.append(workers.number(job.id))
            return workers.square(job)

        return work

    executor = executors.make("local", make)
    for number in (2, 0, 1):
        executor.submit(workers.job(number))
    results = executor.results()
    assert done == []
    next(results)
    assert done == [2]
    assert len(list(results)) == 2
    assert done == [2, 0, 1], "in the order in which they were submitted"


def test_the_number_of_workers_is_the_executors_own_unless_it_is_given() -> None:
    """However the executor was named: by its file of defaults or by its name alone."""
    for name, given, wanted in (("processes", None, 2), ("processes", 5, 5), ("local", None, 1)):
        spec, settings = executors.load(name), ExecutorSettings(name, given)
        assert spec.workers(settings) == wanted
        executor = executors.make(name, workers.make_square, **spec.given(settings))
        assert executor.capacity == wanted
        executor.close()


def test_options_are_checked() -> None:
    with pytest.raises(InputError) as caught:
        executors.make("processes", workers.make_square, wokers=3, workers=0)
    assert caught.value.problems == (
        "executor processes has no option 'wokers'; did you mean 'workers'? (it has workers, retries, timeout, memory, "
        "gpus, device)",
        "executor processes: option workers is 0; expected a whole number of at least 1",
    )
    with pytest.raises(InputError, match="has no option 'name'"):
        executors.make("processes", workers.make_square, name="mine")
    with pytest.raises(InputError, match="there is no executor 'process'; did you mean 'processes'"):
        executors.make("process", workers.make_square)


def test_an_executor_whose_library_is_missing_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From Python and on the command line, before anything else is done."""
    monkeypatch.setitem(sys.modules, "ray", None)
    wanted = "executor ray: ray is not installed; pip install 'evomerge[ray]' installs it"
    with pytest.raises(InputError) as caught:
        executors.make("ray", workers.make_square)
    assert caught.value.problems == (wanted,)
    assert main(["search", "executor=ray"]) == 2
    assert wanted in capsys.readouterr().err
