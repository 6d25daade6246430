"""The jobs of a sweep, planned from words."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from evomerge.cli.main import main
from evomerge.config import compose
from evomerge.config.sweep import plan
from evomerge.errors import InputError

GOOD = ["models=[A,B]", "base=C", "tasks=[rhymes]", "task_path=[my_tasks]"]


def test_every_combination_has_a_folder_of_its_own(desk: Path) -> None:
    planned = plan([*GOOD, "seed=0,1", "method=ties,dare_ties", "run_dir=sweep"])
    assert planned.folder == Path("sweep")
    assert planned.keys == ("method", "seed")
    found = planned.jobs
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
    folder = plan([*GOOD, "seed=0,1"]).folder
    assert folder.parent == Path("runs")
    assert plan([*GOOD, "evaluations=400", "seed=0,1,2"]).folder == folder
    assert plan([*GOOD, "method=ties", "seed=0,1"]).folder != folder
    beside = ["tracking_options.wandb.project=mine", "model.tolerance=0.1", "executor.name=processes"]
    assert plan([*GOOD, "tracking=[]", *beside, "seed=0,1"]).folder == folder
    assert plan([*GOOD, "model.dtype=float32", "seed=0,1"]).folder != folder


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("hydra/launcher=nope", "Could not find 'hydra/launcher/nope'"),
        ("hydra.sweeper.max_batch_size=x", "could not be converted to Integer"),
        ("hydra.nope=x", "'nope'"),
    ],
)
def test_hydras_own_settings_are_checked_before_any_job(desk: Path, word: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        plan([*GOOD, "seed=0,1", "run_dir=s", word])
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith(word)
    assert expected in caught.value.problems[0]
    assert plan([*GOOD, "seed=0,1", "run_dir=s", "hydra.verbose=true"]).hydra_words[-1] == "hydra.verbose=true"


def test_a_folder_with_something_else_in_it_is_no_sweeps(desk: Path) -> None:
    with pytest.raises(InputError, match="my_tasks is not a sweep's folder and is not empty"):
        plan([*GOOD, "seed=0,1", "run_dir=my_tasks"])
    (desk / "my_tasks" / "jobs").mkdir()
    assert plan([*GOOD, "seed=0,1", "run_dir=my_tasks"]).folder == Path("my_tasks")


@pytest.mark.parametrize("word", ["executor=folder", "executor=local,folder", "executor.name=folder"])
def test_jobs_that_nobody_would_work_at_are_refused_before_any_work(
    desk: Path, capsys: pytest.CaptureFixture[str], word: str
) -> None:
    before = sorted(desk.rglob("*"))
    assert main(["search", "-m", *GOOD, "seed=0,1", "run_dir=s", word]) == 2
    said = capsys.readouterr().err
    assert "executor=folder: workers join one run by its folder" in said
    assert sorted(desk.rglob("*")) == before
    words = shlex.split(said.partition("evomerge submit ")[2])
    config, _ = compose.submit(words)
    assert (config.seed, Path(str(config.run_dir)).parent) == (0, Path("s")), "what is told to do instead works"


def test_a_file_of_settings_is_part_of_every_job(desk: Path) -> None:
    (desk / "mine.yaml").write_text("genome: blocks\nfitness: {num_fewshot: 3}\nseed: 9\n")
    planned = plan([*GOOD, "experiment=mine.yaml", "seed=0,1", "run_dir=s"])
    found = planned.jobs
    assert [job.name for job in found] == ["seed-0", "seed-1"]
    assert [job.config.seed for job in found] == [0, 1]
    assert {job.config.genome.depth for job in found} == {"blocks"}
    assert {job.config.fitness.num_fewshot for job in found} == {3}
    assert not [word for word in planned.hydra_words if "mine.yaml" in word]
    for job in found:
        assert compose.search(job.words) == replace(job.config, command=())


def test_names_of_folders_are_short_plain_and_distinct(desk: Path) -> None:
    swept = ["'a/b.acc >= base - 0.01'", "'a/b.acc >= base - 0.02'", "'" + "x" * 300 + ".acc >= 1'"]
    found = plan([*GOOD, f"constraints={','.join(swept)}", "run_dir=s"]).jobs
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
