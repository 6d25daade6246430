"""Sweeps, with real processes."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from evomerge.cli.main import main
from evomerge.config import compose
from evomerge.config.sweep import plan
from evomerge.errors import InputError

GOOD = ["models=[A,B]", "base=C", "tasks=[rhymes]", "task_path=[my_tasks]"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
SEARCH = ["base=base", "tasks=[sums]", "task_path=tasks", "items_per_task=8", "evaluations=6", "searcher=random"]


def test_every_combination_has_a_folder_of_its_own(desk: Path) -> None:
    folder, found, _ = plan([*GOOD, "seed=0,1", "method=ties,dare_ties", "run_dir=sweep"])
    assert folder == Path("sweep")
    assert [job.name for job in found] == [
        "method-ties_seed-0",
        "method-dare-ties_seed-0",
        "method-ties_seed-1",
        "method-dare-ties_seed-1",
    ]
    assert [job.config.run_dir for job in found] == [f"sweep/{job.name}" for job in found]
    assert [(job.config.seed, job.config.method) for job in found][1] == (0, "dare_ties")
    assert len(list(desk.iterdir())) == 4  # nothing was made


def test_without_a_folder_the_sweep_is_named_by_what_it_is_about(desk: Path) -> None:
    folder = plan([*GOOD, "seed=0,1"])[0]
    assert folder.parent == Path("runs")
    assert plan([*GOOD, "evaluations=400", "seed=0,1,2"])[0] == folder
    assert plan([*GOOD, "method=ties", "seed=0,1"])[0] != folder


def test_a_file_of_settings_is_part_of_every_job(desk: Path) -> None:
    (desk / "mine.yaml").write_text("genome: blocks\nfitness: {num_fewshot: 3}\nseed: 9\n")
    _, found, words = plan([*GOOD, "experiment=mine.yaml", "seed=0,1", "run_dir=s"])
    assert [job.name for job in found] == ["seed-0", "seed-1"]
    assert [job.config.seed for job in found] == [0, 1]
    assert {job.config.genome.depth for job in found} == {"blocks"}
    assert {job.config.fitness.num_fewshot for job in found} == {3}
    assert not [word for word in words if "mine.yaml" in word]
    for job in found:
        assert compose.search(job.words) == replace(job.config, command=())


def test_names_of_folders_are_short_plain_and_distinct(desk: Path) -> None:
    swept = ["'a/b.acc >= base - 0.01'", "'a/b.acc >= base - 0.02'", "'" + "x" * 300 + ".acc >= 1'"]
    _, found, _ = plan([*GOOD, f"constraints={','.join(swept)}", "run_dir=s"])
    names = [job.name for job in found]
    assert len(set(names)) == 3
    assert all(len(name) < 80 and set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-_") for name in names)


def test_all_jobs_are_checked_before_the_first(desk: Path) -> None:
    with pytest.raises(InputError) as caught:
        plan([*GOOD, "method=ties,tise", "searcher=ga,gaa", "evaluations=0,10"])
    text = "\n".join(caught.value.problems)
    assert "tise" in text
    assert "gaa" in text
    assert text.count("evaluations") == 1
    with pytest.raises(InputError, match="no key has several values"):
        plan(GOOD)
    with pytest.raises(InputError, match="comes twice"):
        plan([*GOOD, "seed=1,1"])
    with pytest.raises(InputError, match="a sweep has one folder"):
        plan([*GOOD, "run_dir=a,b"])
    assert main(["search", "-m", *GOOD, "seed=a,b"]) == 2


def sweep(workshop: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "evomerge", "search", "-m", *words, *SEARCH, "run_dir=sweep"]
    return subprocess.run(command, cwd=workshop, env=ENVIRONMENT, capture_output=True, text=True, check=False)


def test_one_failed_job_stops_no_other_and_finished_ones_are_skipped(workshop: Path) -> None:
    folder = workshop / "sweep"
    first = sweep(workshop, "models=[A,hollow],[A,B]")
    assert first.returncode == 1, first.stderr
    notes = {path.stem: json.loads(path.read_text()) for path in (folder / "jobs").iterdir()}
    codes = {name.split("-")[2]: note["code"] for name, note in notes.items()}
    assert codes == {"hollow": 2, "B": 0}
    assert "| failed (2): " in first.stdout
    assert "| finished | 6 |" in (folder / "summary.md").read_text()

    good = next(folder / name for name in notes if "hollow" not in name)
    before = {path: path.stat().st_mtime_ns for path in good.rglob("*")}
    (folder / "jobs" / f"{good.name}.json").unlink()
    second = sweep(workshop, "models=choice([A,B])")
    assert second.returncode == 0, second.stderr
    assert "finished already" in second.stdout
    assert not (folder / "jobs" / f"{good.name}.json").exists()  # no process was started
    assert {path: path.stat().st_mtime_ns for path in good.rglob("*")} == before


def test_an_interrupt_lets_the_job_finish_its_batch_and_starts_no_other(workshop: Path) -> None:
    words = ["models=[A,B]", *SEARCH, "evaluations=5000", "seed=0,1", "run_dir=cut", "progress=lines"]
    command = [sys.executable, "-m", "evomerge", "search", "-m", *words]
    with subprocess.Popen(
        command, cwd=workshop, env=ENVIRONMENT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        assert running.stdout is not None
        for line in running.stderr:
            if line.startswith("search 1/"):
                running.send_signal(signal.SIGINT)
                break
        rest = running.stderr.read()
        table = running.stdout.read()
    assert running.returncode == 130, rest
    assert rest.count("finishing the batch") == 1
    assert "| seed-0 | interrupted | 16 |" in table
    assert "| seed-1 | not started |" in table
    status = json.loads((workshop / "cut" / "seed-0" / "status.json").read_text())
    assert (status["finished"], status["evaluations"]) == (False, 16)
    assert (workshop / "cut" / "seed-0" / "report.html").is_file()
