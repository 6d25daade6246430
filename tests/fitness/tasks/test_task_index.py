"""Finding the declaration of a task: by name, file, pattern or group, one's own before lm-eval's."""

from __future__ import annotations

from pathlib import Path

from evomerge.fitness import FitnessSettings, inspect_tasks
from evomerge.fitness.tasks.task_index import DeclarationIndex
from tests.fitness.tasks.declaring import SIMPLE, declare, inspect, problems, simple


def test_a_task_is_named_by_its_file_or_a_pattern(folder: Path) -> None:
    by_file = inspect_tasks(FitnessSettings((str(folder / "simple.yaml"),)))
    by_pattern = inspect(folder, "simp*")
    assert [listing.task for listing in by_file.tasks] == [listing.task for listing in by_pattern.tasks] == ["simple"]


def test_task_path_may_be_a_file(folder: Path) -> None:
    found = inspect(folder / "simple.yaml", "simple")
    assert found.tasks[0].items["search"] > 5


def test_the_same_name_twice(folder: Path) -> None:
    declare(folder, "copy", SIMPLE.format(name="simple", data="rows.jsonl"))
    assert "'simple' is declared more than once" in problems(folder, "simple")
    (folder / "copy.yaml").unlink()
    declare(folder, "group", "group: both\ntask: [simple]\n")
    assert "'simple' is asked for twice" in problems(folder, "simple", "both")


def test_builtin_names_are_found_with_all_their_members() -> None:
    index = DeclarationIndex([])
    wanted, wrong = index.find(["ai2_arc", "mmlu_stem", "gsm8k"])
    assert (wanted, wrong) == (["ai2_arc", "mmlu_stem", "gsm8k"], [])
    names = {entry.name for entry in index.closure(wanted)}
    # arc_challenge carries its tag only in the file that it includes.
    assert {"arc_easy", "arc_challenge", "mmlu_abstract_algebra", "gsm8k"} <= names
    assert len(names) > 20


def test_a_pattern_that_fits_a_group_and_its_tasks_means_them_once(folder: Path) -> None:
    for name in ("quiz_a", "quiz_b", "quiz_c"):
        simple(folder, name)
    declare(folder, "group", "group: quiz_all\ntask: [quiz_a, quiz_b]\naggregate_metric_list: [{metric: acc}]\n")
    found = inspect(folder, "quiz_*")
    assert [listing.task for listing in found.tasks] == ["quiz_a", "quiz_b", "quiz_c"]
    assert "quiz_all.acc" in found.metrics


def test_groups_without_tasks(folder: Path) -> None:
    declare(folder, "bare", "group: bare\n")
    assert problems(folder, "bare") == "tasks: 'bare' has no tasks; list them in its file, as task: [NAME, ...]"
    # As lm-eval wrote labels of tasks once.
    simple(folder, "old", extra="group: label\n")
    said = (
        "the group 'label' names one task as a text; write task: [old], or, if the file declares that task, tag: label"
    )
    for name in ("old", "label"):
        assert f"{folder / 'old.yaml'}: {said} instead of the group" in problems(folder, name)
