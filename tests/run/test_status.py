"""``evomerge status``: a run that is going on, one that ended or was killed, of any age, and the runs of a sweep."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from evomerge import executors
from evomerge.cli.main import main
from evomerge.contracts.watching import wait_for
from evomerge.evaluation import Ask, Job, Outcome
from evomerge.executors import ExecutorSettings
from evomerge.executors._folder.work import Signature
from evomerge.executors.folder import WorkFolder
from evomerge.report.facts import Facts
from evomerge.run.attach import WORK, write_config
from evomerge.run.cluster import sharing
from evomerge.run.run_config import RunConfig
from evomerge.run.status.facts import RunState, state_of
from evomerge.run.status.text import lines_of
from evomerge.search import Budgets, RepeatedFailures, SearchPlan, run
from evomerge.store import RunStore
from evomerge.store.sweep import write_note, write_plan
from tests.forks import SERVER
from tests.search.analytic import Analytic, in_rounds, plan

FORMAT_1 = Path(__file__).parents[1] / "fixtures" / "runs_format_1"


@dataclass(frozen=True)
class Blocking:
    """Answers until it is asked a certain place, at which it stays."""

    def __call__(self, job: Job) -> Outcome:
        if job.ask == Ask("search", 2, 3):
            signal.pause()
        return Analytic(broken=0.2)(job)


def work(evaluations: int = 20) -> SearchPlan:
    return replace(plan("nsga2", budgets=Budgets(evaluations, items=1000), depth="linear"), finalists=2)


def search(folder: Path, worker: Callable[[Job], Outcome], rounds: int = 1) -> None:
    made = in_rounds(work(), rounds, 5, elites=2) if rounds > 1 else work()
    manifest = {"budgets": asdict(made.budgets), "objectives": [one.to_json() for one in made.objectives]}
    with RunStore.open(folder, manifest, {}) as store:
        run(made, executors.make("local", lambda: worker), store)


def test_a_run_that_is_at_a_long_candidate_and_is_then_killed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    driver = SERVER.Process(target=search, args=(folder, Blocking()))
    driver.start()
    # Nothing ends any more, so what is seen now was written while the candidate runs.
    wait_for(lambda: bool(_workers(folder)) and _workers(folder)[0].job == "number 3 of batch 2 (search)")
    before = _tree(folder)
    state = state_of(folder)
    assert (state.state, state.phase, state.done, state.total) == ("running", "search", 11, 20)
    assert state.driver is not None
    assert (state.driver.pid, state.driver.seen) == (driver.pid, True)
    worker = state.workers[0]
    store = RunStore.read(folder)
    assert (worker.ready, worker.done) == (True, 4 + 11)
    assert worker.candidate not in {evaluation.digest[:12] for evaluation in store.evaluations()}
    assert state.rate is not None
    assert state.remaining is not None
    text = "\n".join(lines_of(state))
    assert f"running, driven by process {driver.pid} on " in text
    assert "11 of 20 evaluations" in text
    assert "used: 11 of 20 candidates, 110 of 1000 items" in text
    assert "workers: 1 of 1 at work" in text
    assert f"number 3 of batch 2 (search), candidate {worker.candidate}, for " in text
    assert {name: content for name, content in _tree(folder).items() if name != "status.json"} == {
        name: content for name, content in before.items() if name != "status.json"
    }, "it only looks"
    assert driver.pid is not None
    os.kill(driver.pid, signal.SIGKILL)
    driver.join()
    after = state_of(folder)
    assert (after.state, after.driver, after.workers, after.rate) == ("gone", None, (), None)
    assert "its driver is gone, last sign " in next(lines_of(after))


def test_a_run_in_rounds_says_which_one_it_is_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    driver = SERVER.Process(target=search, args=(folder, Blocking(), 3))
    driver.start()
    wait_for(lambda: bool(_workers(folder)) and _workers(folder)[0].job == "number 3 of batch 2 (search)")
    assert main(["status", f"run={folder}", f"json={tmp_path / 'state.json'}"]) == 0
    assert "phase search: 8 of 20 evaluations" in (printed := capsys.readouterr().out)
    assert "  round 2 of 3: 3 of 5 evaluations\n" in printed
    assert driver.pid is not None
    os.kill(driver.pid, signal.SIGKILL)
    driver.join()
    own = json.loads((tmp_path / "state.json").read_text())["round"]
    assert own == {"number": 2, "count": 3, "done": 3, "total": 5}
    status = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(json.dumps({name: status[name] for name in status if name != "round"}))
    assert state_of(folder).round is None, "a version that did not say it"


def test_who_watches_a_shared_run_sees_its_drivers_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Until the run has ended: workers that share it go on with it."""
    folder, said = tmp_path / "run", []
    write_config(folder, replace(RunConfig(), executor=ExecutorSettings("folder")))
    driver = SERVER.Process(target=search, args=(folder, Blocking()))
    driver.start()
    watching = threading.Thread(target=main, args=(["status", f"run={folder}", "watch=0.1"],), daemon=True)
    watching.start()

    def sees(what: str) -> Callable[[], bool]:
        return lambda: bool(said.append(capsys.readouterr().out)) or what in said[-1]

    wait_for(lambda: bool(_workers(folder)) and _workers(folder)[0].job == "number 3 of batch 2 (search)")
    wait_for(sees("running, driven by process"))
    assert driver.pid is not None
    os.kill(driver.pid, signal.SIGKILL)
    driver.join()
    wait_for(sees("without a driver just now; no worker is there that could drive it"))
    work_folder = WorkFolder(folder / WORK)
    for name in ("one", "two"):
        work_folder.sign(Signature.of(name))
    wait_for(sees("without a driver just now; 2 workers have joined; one drives it next"))
    assert watching.is_alive()
    search(folder, Analytic(broken=0.2))
    watching.join(60)
    assert not watching.is_alive()
    assert ": finished (evaluations)" in capsys.readouterr().out


def test_a_shared_run_that_failed_has_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_config(tmp_path, replace(RunConfig(), executor=ExecutorSettings("folder")))
    with pytest.raises(RepeatedFailures):
        search(tmp_path, Analytic(broken=1.0))
    sharing.end(tmp_path, "no luck", failed=True)
    assert main(["status", f"run={tmp_path}", "watch=5"]) == 0
    assert "ended before its end: too many candidates failed in a row" in capsys.readouterr().out


def _workers(folder: Path) -> Any:
    return state_of(folder).workers if (folder / "status.json").exists() else ()


def _tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_finished_run_says_what_its_records_say(tmp_path: Path) -> None:
    """So does one whose status was written by a version that kept less in it."""
    search(tmp_path, Analytic(broken=0.2))
    state, store = state_of(tmp_path), RunStore.read(tmp_path)
    assert (state.state, state.reason, state.evaluations, state.workers) == ("finished", "evaluations", 20, ())
    kinds = Counter(one.error.kind for one in store.evaluations() if one.error)
    assert kinds
    assert state.failures == kinds
    scored = [one.metrics for one in store.evaluations("search") if one.batch and one.error is None]
    assert state.best == {
        "north.acc": max(metrics["north.acc"] for metrics in scored),
        "south.loss": min(metrics["south.loss"] for metrics in scored),
    }
    assert state.items == 200
    volume = Facts(store).trace.hypervolume[-1][1]
    assert state.hypervolume == pytest.approx(volume)
    assert any(f"; hypervolume {volume:.4g}" in line for line in lines_of(state))
    status = json.loads((tmp_path / "status.json").read_text())
    kept = {name: status[name] for name in ("phase", "batches", "evaluations", "finished", "reason", "seconds")}
    (tmp_path / "status.json").write_text(json.dumps(kept))
    assert _timeless(state_of(tmp_path)) == _timeless(state)


def _timeless(state: RunState) -> RunState:
    return replace(state, silent=None, done=0, total=None)


@pytest.mark.parametrize("run", sorted(path.parent for path in FORMAT_1.glob("*/manifest.json")), ids=lambda p: p.name)
def test_a_run_of_format_1(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    before = _tree(copy)
    assert main(["status", f"run={copy}", f"json={tmp_path / 'out.json'}", "watch=5"]) == 0, "it is over at once"
    said = capsys.readouterr().out
    assert said.startswith(f"{copy}: finished (")
    assert "best so far, on search items: " in said
    data = json.loads((tmp_path / "out.json").read_text())
    assert (data["state"], data["workers"]) == ("finished", [])
    assert _tree(copy) == before


def test_a_sweep_has_a_line_for_each_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_plan(tmp_path, ["seed"], [(f"seed={seed}", [f"seed={seed}"]) for seed in range(3)])
    search(tmp_path / "seed=0", Analytic())
    write_note(tmp_path, "seed=1", {"code": 2, "seconds": 1.0, "messages": ["models: there is no folder A"]})
    assert main(["status", f"run={tmp_path}"]) == 0
    first, *rows = capsys.readouterr().out.splitlines()
    assert first == f"{tmp_path}: 3 runs, 1 finished"
    assert rows[0].startswith("  seed=0  finished (evaluations); 20 candidates, north.acc 0.9")
    assert rows[1] == "  seed=1  failed (2): models: there is no folder A"
    assert rows[2] == "  seed=2  not started"


def test_what_is_no_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", f"run={tmp_path / 'nothing'}"]) == 2
    assert "nothing is not there; expected a run's folder" in capsys.readouterr().err
    assert main(["status"]) == 2
    assert "run: missing" in capsys.readouterr().err
