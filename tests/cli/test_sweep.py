"""Sweeps, with real processes."""

import json
import os
import pickle
import re
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from evomerge.cli.main import main
from evomerge.cli.sweep import _Counted
from evomerge.cli.sweep_job import Interruptions, JobRunner, this_process
from evomerge.cli.sweep_summary import summarise
from evomerge.config import multirun
from evomerge.config.sweep import plan
from evomerge.contracts.watching import wait_for
from evomerge.evaluation import Constraint
from tests.apart import Apart

# Messages and tables in one text.
SWEEP = "import os, sys; os.dup2(1, 2); from evomerge.cli.main import main; sys.exit(main(sys.argv[1:]))"
SEARCH = ["base=base", "tasks=[sums]", "task_path=tasks", "items_per_task=8", "evaluations=6", "searcher=random"]


def test_one_failed_job_stops_no_other_and_finished_ones_are_skipped(
    workshop: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workshop)
    folder = workshop / "sweep"
    words = ["search", "-m", *SEARCH, "run_dir=sweep"]
    assert main([*words, "models=[A,hollow],[A,B]"]) == 1
    notes = {path.stem: json.loads(path.read_text()) for path in (folder / "jobs").iterdir()}
    codes = {name.split("-")[2]: note["code"] for name, note in notes.items()}
    assert codes == {"hollow": 2, "B": 0}
    printed = capfd.readouterr().out
    assert "| failed (2): " in printed
    assert "report: sweep/report.html" in printed
    assert "| finished | 6 |" in (folder / "summary.md").read_text()
    page = (folder / "report.html").read_text()
    assert "hollow" in page
    assert f'href="{next(name for name in notes if "hollow" not in name)}/report.html"' in page

    good = next(folder / name for name in notes if "hollow" not in name)
    before = {path: path.stat().st_mtime_ns for path in good.rglob("*")}
    (folder / "jobs" / f"{good.name}.json").unlink()
    assert main([*words, "models=choice([A,B])"]) == 0
    assert "finished already" in capfd.readouterr().out
    assert not (folder / "jobs" / f"{good.name}.json").exists()  # no process was started
    assert {path: path.stat().st_mtime_ns for path in good.rglob("*")} == before

    manifest = json.loads((good / "manifest.json").read_text())
    manifest["constraints"] = [Constraint("sums.acc >= 2", "sums.acc", ">=", 2.0).to_json()]
    (good / "manifest.json").write_text(json.dumps(manifest))
    assert main([*words, "models=choice([A,B])"]) == 0
    assert "| finished | 6 |  |" in (folder / "summary.md").read_text(), "none of them meets the constraint"


def test_a_launcher_that_fails_is_said_in_a_sentence(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["models=[A,B]", "base=C", "tasks=[rhymes]", "task_path=[my_tasks]", "seed=0,1", "run_dir=sweep"]
    assert main(["search", "-m", *words, "hydra.launcher._target_=evomerge.nowhere.Launcher"]) == 1
    said = capsys.readouterr()
    assert "evomerge: the launcher failed: " in said.err
    assert "evomerge.nowhere" in said.err
    assert "Traceback" not in said.err
    assert "| seed-1 | not started |" in said.out
    assert "None of 2" in (desk / "sweep" / "report.html").read_text()


LISTENER = """
import signal, sys, time
def came(*_):
    print("caught", file=sys.stderr, flush=True)
    seen.append(1)
seen = []
signal.signal(signal.SIGINT, came)
print("ready", file=sys.stderr, flush=True)
while len(seen) < 2:
    time.sleep(0.01)
"""


def test_every_interrupt_of_a_sweep_reaches_a_job_once(tmp_path: Path) -> None:
    interruptions = Interruptions(tmp_path / "interrupts")
    runner = JobRunner(tmp_path, tmp_path, interruptions, this_process())
    said: list[str] = []

    def watch(line: str) -> None:
        said.append(line)
        if line.strip() == "ready" or len(said) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with _Counted(interruptions), pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "stderr", SimpleNamespace(write=watch))
        code, messages = runner._run([sys.executable, "-c", LISTENER])
    assert (code, messages) == (0, ["ready", "caught", "caught"])
    assert interruptions.count == Interruptions(interruptions.path).count == 2
    interruptions.clear()
    assert not list(tmp_path.iterdir())
    assert interruptions.count == 2, "what is removed with the folder is not forgotten"


def test_a_launchers_process_of_the_same_number_passes_a_time_limit_on(tmp_path: Path) -> None:
    """As in a container, where both are process 1."""
    runner = JobRunner(tmp_path, tmp_path, Interruptions(tmp_path / "interrupts"), f"{os.getpid()} another")
    said: list[str] = []

    def watch(line: str) -> None:
        said.append(line)
        if len(said) < 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "stderr", SimpleNamespace(write=watch))
        assert runner._run([sys.executable, "-c", LISTENER]) == (0, ["ready", "caught", "caught"])


def test_a_job_can_be_handed_to_another_process(desk: Path) -> None:
    words = ["models=[A,B]", "base=C", "tasks=[rhymes]", "task_path=[my_tasks]", "seed=0,1", "run_dir=sweep"]
    task = multirun.Task(
        JobRunner(desk, desk, Interruptions(desk / "i"), "1"), {job.values: job for job in plan(words).jobs}
    )
    assert pickle.loads(pickle.dumps(task)).by_values == task.by_values


def test_a_job_that_an_interrupt_ended_before_it_could_catch_any_is_no_failure(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["models=[A,B]", "base=C", "tasks=[rhymes]", "task_path=[my_tasks]", "seed=0,1", "run_dir=sweep"]
    folder, jobs = plan(words).folder, plan(words).jobs
    (folder / "jobs").mkdir(parents=True)
    for job, code in zip(jobs, (-signal.SIGINT, -signal.SIGSEGV), strict=True):
        note = {"code": code, "messages": ["last words"]}
        (folder / "jobs" / f"{job.name}.json").write_text(json.dumps(note))
    assert summarise(folder, jobs, interrupted=True) == 130
    printed = capsys.readouterr().out
    assert "| seed-0 | interrupted |" in printed
    assert "| seed-1 | failed (-11): last words |" in printed


def test_an_interrupt_lets_the_job_finish_its_batch_and_starts_no_other(workshop: Path, apart: Apart) -> None:
    """The sweep is a fork of a process with all libraries; its jobs are started as they are everywhere."""
    words = ["search", "-m", "models=[A,B]", *SEARCH, "evaluations=5000", "seed=0,1", "run_dir=cut", "progress=lines"]
    running = apart.start(SWEEP, *words, cwd=workshop)
    wait_for(lambda: "\nsearch 1/" in running.printed() or running.poll() is not None, 600.0)
    running.send_signal(signal.SIGINT)
    assert running.wait() == 130, running.printed()
    printed = running.printed()
    assert printed.count("finishing the batch") == 1
    (evaluations,) = map(int, re.findall(r"^\| seed-0 \| interrupted \| (\d+) \|", printed, flags=re.MULTILINE))
    assert evaluations % 16 == 0, "whole batches"
    assert "| seed-1 | not started |" in printed
    status = json.loads((workshop / "cut" / "seed-0" / "status.json").read_text())
    assert (status["finished"], status["evaluations"]) == (False, evaluations)
    assert (workshop / "cut" / "seed-0" / "report.html").is_file()
