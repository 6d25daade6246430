"""Examples in prompts: there have to be enough of them, and people are told where they come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from evomerge.fitness import FitnessSettings, inspect_tasks
from tests.fitness.conftest import choice_rows, write_jsonl
from tests.fitness.tasks.declaring import SIMPLE, declare, problems


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "rows.jsonl", choice_rows(40))
    write_jsonl(tmp_path / "shots.jsonl", choice_rows(5, seed=1))
    declare(tmp_path, "own", SIMPLE.format(name="own", data="rows.jsonl") + "fewshot_split: test\n")
    apart = SIMPLE.format(name="apart", data="rows.jsonl, train: shots.jsonl")
    declare(tmp_path, "apart", apart + "fewshot_split: train\n")
    declare(tmp_path, "first", apart.replace("apart", "first") + "fewshot_config: {split: train, sampler: first_n}\n")
    return tmp_path


def test_more_examples_than_there_are(folder: Path) -> None:
    said = problems(folder, "own", "apart", "first", num_fewshot=50).splitlines()
    assert said == [
        "task 'own' asks for 50 examples, there are 40, one of them the item itself; set fitness.num_fewshot to 39 or "
        "less",
        "task 'apart' asks for 50 examples, there are 5; set fitness.num_fewshot to 5 or less",
        "task 'first' asks for 50 examples, there are 5; set fitness.num_fewshot to 5 or less",
    ]


@pytest.mark.parametrize(("task", "most"), [("own", 39), ("apart", 5), ("first", 5)])
def test_as_many_examples_as_it_says_are_shown(folder: Path, task: str, most: int) -> None:
    assert "asks for" in problems(folder, task, num_fewshot=most + 1)
    found = inspect_tasks(FitnessSettings((task,), (str(folder),), num_fewshot=most))
    assert found.tasks[0].num_fewshot == most
    assert found.tasks[0].sample["question"].count("\n\n") == most


def test_examples_from_the_items_are_pointed_out(folder: Path) -> None:
    found = inspect_tasks(FitnessSettings(("own", "apart"), (str(folder),), num_fewshot=2))
    assert found.warnings == ("task 'own' draws its examples from the items that it is scored on",)
