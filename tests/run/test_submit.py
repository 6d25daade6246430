"""A submission: checked as a search is, written as files that batch systems accept, driven by nobody here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from evomerge.candidate import WorkerSettings
from evomerge.cli.main import main
from evomerge.executors import ExecutorSettings
from evomerge.recipe import AdapterRef, CheckpointRef
from evomerge.run import attach
from evomerge.run.attach import absolute, config_of
from evomerge.run.cluster.scripts import Job, kubernetes_job, slurm_job
from evomerge.run.cluster.settings import SubmitSettings
from evomerge.run.cluster.worker import name_here
from evomerge.run.cluster.worker_file import read_worker, write_worker
from evomerge.run.run_config import RunConfig
from tests.run.family import Family


def job(folder: Path, directory: Path | None = None, gpus: int = 2, **settings: Any) -> Job:
    return Job(folder, directory or folder, "python", gpus, str(folder.parent), SubmitSettings(**settings))


def test_a_submission_is_a_folder_that_workers_can_join(
    family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Paths are absolute, a GPU that is elsewhere is no problem, and files that were edited are kept."""
    monkeypatch.chdir(family.folder)
    words = Family(Path()).words(
        "run", **{"submit.workers": 3, "submit.memory": "8GiB", "model.device": "cuda", "submit.partition": "gpu"}
    )
    monkeypatch.chdir(family.folder)
    words = [word.replace("=run", f"={tmp_path / 'a run'}") if word == "run_dir=run" else word for word in words]
    assert main(["submit", *words]) == 0
    printed = capsys.readouterr()
    run = tmp_path / "a run"
    assert printed.out.splitlines() == [
        f"sbatch '{run}/job.sbatch'",
        f"kubectl apply -f '{run}/job.yaml'",
        f"evomerge worker 'run={run}'",
    ]
    assert "model.device=cuda is not on this machine" in printed.err
    assert not (run / "manifest.json").exists(), "how models run is measured where they run"
    config = config_of(run)
    assert [ref.source for ref in config.models] == [str(family.folder / name) for name in ("one", "two")]
    assert config.fitness.task_path == (str(family.folder / "tasks"),)
    assert config.run_dir == str(run)
    assert (config.executor.name, config.model.device) == ("folder", "cuda")
    assert config.command[:3] == ("evomerge", "search", "executor=folder")
    assert not [word for word in config.command if word.startswith("submit")]
    text = (run / "job.sbatch").read_text()
    assert "#SBATCH --array=0-2\n" in text
    assert "#SBATCH --mem=8192M\n" in text
    assert "#SBATCH --partition=gpu\n" in text

    (run / "job.sbatch").write_text(text.replace("0-2", "0-99"))
    (run / "work" / "over.json").write_text("{}")
    assert main(["submit", *words]) == 0
    assert "0-99" in (run / "job.sbatch~").read_text()
    assert (run / "job.sbatch").read_text() == text
    assert not (run / "work" / "over.json").exists(), "what is submitted again goes on"


def test_devices_that_a_model_is_spread_over_need_not_be_here(
    family: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What else is wrong with them is told here."""
    spread = {"model.device": "auto", "model.device_map": "[cuda:90,cuda:91]"}
    words = family.words(tmp_path / "run", **spread)
    assert main(["submit", *words, "model.max_memory=[1GB,1GB,1GB]"]) == 2
    assert "has 3 limits, but there are 2 devices" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert main(["submit", *words]) == 0
    assert "model.device_map has cuda:90, which is not on this machine" in capsys.readouterr().err
    assert config_of(tmp_path / "run").model.device_map == ("cuda:90", "cuda:91")
    assert "#SBATCH --gres=gpu:2\n" in (tmp_path / "run" / "job.sbatch").read_text()


@pytest.mark.parametrize(("began", "gpus", "device"), [("cuda", None, "cuda"), ("cpu", None, "cpu"), (None, 0, "cpu")])
def test_a_device_that_was_left_open_is_settled_once(
    family: Family, finished: Path, tmp_path: Path, began: str | None, gpus: int | None, device: str
) -> None:
    """It is the run's own, whatever this machine has: a finished run is submitted again from a login node."""
    run = tmp_path / "run"
    if began is not None:
        run.mkdir()
        manifest = json.loads((finished / "manifest.json").read_text())
        manifest["identity"]["model"]["device"] = began
        (run / "manifest.json").write_text(json.dumps(manifest))
    assert main(["submit", *family.words(run, evaluations=24, **{"submit.gpus": gpus})]) == 0
    assert config_of(run).model.device == device
    assert ("--gres=gpu:1" in (run / "job.sbatch").read_text()) == (device == "cuda")


def test_everything_that_is_wrong_is_said_and_nothing_written(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "models=[A,X] base=C tasks=[rhymes] executor=processes submit.gpu=1 submit.workers=0 evaluations=many"
    assert main(["submit", *words.split()]) == 2
    said = capsys.readouterr().err
    expected = [
        "submit.gpu: unknown key; did you mean 'submit.gpus'?",
        "submit.workers: expected a whole number",
        "run_dir: missing",
        "leave processes out",
        "evaluations: expected a whole number",
        "models[1]: there is no",
    ]
    assert [text for text in expected if text not in said] == []
    before = sorted(path.name for path in desk.iterdir())
    assert main(["submit", *words.split(), "run_dir=run"]) == 2
    assert sorted(path.name for path in desk.iterdir()) == before


def test_what_would_be_other_lines_of_a_script_is_refused(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["models=[A,B]", "base=C", "tasks=[rhymes]", 'run_dir="a\\nrm x"', "submit.time=24h"]
    assert main(["submit", *words, 'submit.partition="a\\nrm x"', "submit.account='a b'"]) == 2
    said = capsys.readouterr().err
    expected = ["run_dir: a batch script cannot name", "submit.partition: expected one", "submit.account: expected one"]
    assert [text for text in [*expected, "submit.time: expected SLURM's"] if text not in said] == []
    assert not [path.name for path in desk.iterdir() if "rm" in path.name]
    for time in ("30", "90:00", "24:00:00", "2-12", "2-12:30", "1-00:00:00"):
        assert SubmitSettings(time=time).problems() == []


def test_places_that_pods_need_include_the_files_of_tasks(
    family: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And `%` is no pattern of SLURM's in the name of a folder."""
    elsewhere = tmp_path / "data"
    elsewhere.mkdir()
    shutil.copy(family.folder / "tasks" / "first.jsonl", elsewhere / "quiz.jsonl")
    quiz = f"{{task: quiz, data: {elsewhere}/quiz.jsonl, question: '{{{{question}}}}', choices: '{{{{options}}}}', "
    quiz += "answer: '{{answer}}', output_type: multiple_choice}"
    changes = {
        "tasks": f"[{quiz}]",
        "task_path": None,
        "searcher": "cmaes",
        "submit.mount": family.folder,
        "submit.gpus": 0,
    }
    run = family.folder / "100%a"
    assert main(["submit", *family.words(run, **changes)]) == 0
    assert f"{elsewhere}/quiz.jsonl lies elsewhere" in capsys.readouterr().err
    assert f'--output="{family.folder}/100%%a/worker-%a.log"' in (run / "job.sbatch").read_text()
    shutil.rmtree(run)


@pytest.mark.parametrize("written", [ExecutorSettings(timeout=60.0), ExecutorSettings(options={"timeout": 60.0})])
def test_limits_reach_workers_however_they_are_written(tmp_path: Path, written: ExecutorSettings) -> None:
    reference = CheckpointRef("A")
    fitness = RunConfig().fitness
    settings = WorkerSettings(reference, (), fitness, "", "float32", "eager", "cpu")
    write_worker(tmp_path, settings, replace(written, name="folder"), offline=True)
    found = read_worker(tmp_path)
    assert found is not None
    assert found["limits"] == {"timeout": 60.0, "memory": None}
    assert found["gpus"] == 1
    write_worker(tmp_path, settings, ExecutorSettings("folder", options={"gpus": 2}), offline=True)
    assert (read_worker(tmp_path) or {})["gpus"] == 2


def test_a_worker_wants_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["worker", f"run={tmp_path}", "workers=0"]) == 2
    said = capsys.readouterr().err
    assert "is not a run's folder" in said
    assert "workers: expected a whole number" in said


def test_workers_are_named_by_what_started_them() -> None:
    assert name_here({"JOB_COMPLETION_INDEX": "3", "SLURM_ARRAY_TASK_ID": "1"}) == "pod-3"
    assert name_here({"SLURM_ARRAY_TASK_ID": "12", "SLURM_NTASKS": "1", "SLURM_PROCID": "0"}) == "task-12"
    assert name_here({"SLURM_ARRAY_TASK_ID": "12", "SLURM_NTASKS": "4", "SLURM_PROCID": "3"}) == "task-12-3"
    assert name_here({}).endswith(f"-{os.getpid()}")


def test_a_configuration_is_the_same_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Adapters, functions and data files included; hub ids and the example stay as they are."""
    for name in ("base", "adapter", "tasks"):
        (tmp_path / name).mkdir()
    (tmp_path / "quiz.jsonl").touch()
    monkeypatch.chdir(tmp_path)
    written = RunConfig(
        models=(
            AdapterRef("adapter", CheckpointRef("base")),
            CheckpointRef("ORG/NAME", "main"),
            CheckpointRef("example:base"),
        ),
        functions=("mine.py:score",),
        patterns=(("attention", "mixer"),),
        run_dir="run",
    )
    fitness = replace(written.fitness, tasks=({"task": "q", "data": "quiz.jsonl"},))
    config = replace(written, fitness=fitness)
    attach.write_config(tmp_path / "run", config)
    monkeypatch.chdir("/")
    found = config_of(tmp_path / "run")
    assert found.models == (
        AdapterRef(str(tmp_path / "adapter"), CheckpointRef(str(tmp_path / "base"))),
        *written.models[1:],
    )
    assert found.functions == (f"{tmp_path}/mine.py:score",)
    assert found.patterns == written.patterns
    assert found.fitness.tasks == ({"task": "q", "data": f"{tmp_path}/quiz.jsonl"},)
    assert absolute(found) == found
    assert attach.directory_of(tmp_path / "run") == tmp_path


def test_the_batch_script_asks_to_be_queued_again_when_its_worker_was_told_to_leave(tmp_path: Path) -> None:
    """Run by bash as SLURM does: the signal reaches the shell alone; what ended by itself is not queued again."""
    stub = tmp_path / "python"
    stub.write_text(
        "#!/bin/bash\ntrap 'echo told >&2; sleep 0.2; exit 75' USR1\necho \"$@\"\n"
        'if [ "$CODE" ]; then exit "$CODE"; fi\nkill -USR1 $PPID\nwhile :; do sleep 0.05; done\n'
    )
    (tmp_path / "scontrol").write_text('#!/bin/bash\necho scontrol "$@"\n')
    for program in (stub, tmp_path / "scontrol"):
        program.chmod(0o755)
    script = tmp_path / "job.sbatch"
    settings = SubmitSettings(setup="echo ready")
    script.write_text(slurm_job(Job(tmp_path / "r u n", tmp_path, str(stub), 0, "/", settings)))
    found = {}
    for code in ("", "0", "2"):
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "7", "CODE": code}
        done = subprocess.run(["bash", str(script)], env=environment, capture_output=True, text=True, timeout=120)
        found[code] = (done.returncode, done.stdout.splitlines())
    began = ["ready", f"-m evomerge worker run={tmp_path}/r u n workers=1"]
    assert found == {"": (75, [*began, "scontrol requeue 7"]), "0": (0, began), "2": (2, began)}


@pytest.mark.parametrize("settings", [{}, {"volume": "data", "processes": 4, "workers": 16}])
def test_the_job_of_kubernetes_is_valid(tmp_path: Path, settings: dict[str, Any]) -> None:
    """By the schema of Kubernetes, where the package that knows it is installed: kubernetes-validate."""
    text = kubernetes_job(job(tmp_path / "A run: 'x'", **settings))
    data = yaml.safe_load(text)
    container = data["spec"]["template"]["spec"]["containers"][0]
    assert container["args"][:2] == ["worker", f"run={tmp_path}/A run: 'x'"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 2
    assert data["spec"]["completions"] == data["spec"]["parallelism"] == settings.get("workers", 4)
    validate = pytest.importorskip("kubernetes_validate")
    for version in ("1.29", validate.latest_version()):
        validate.validate(json.loads(json.dumps(data)), version, strict=True)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_the_array_job_is_a_script(tmp_path: Path) -> None:
    text = slurm_job(job(tmp_path / "it's", account="me", time="1-00:00:00"))
    (tmp_path / "job").write_text(text)
    subprocess.run(["bash", "-n", str(tmp_path / "job")], check=True)
    assert "#SBATCH --account=me\n" in text
    assert "#SBATCH --gres=gpu:2\n" in text
    assert "#SBATCH --requeue\n" in text
