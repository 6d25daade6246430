"""Examples in prompts: there have to be enough of them, and people are told where they come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from evomerge.fitness.tasks.checks import examples
from tests.fitness.conftest import choice_rows, write_jsonl
from tests.fitness.tasks.declaring import SIMPLE, declare, inspect, problems, simple


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "rows.jsonl", choice_rows(40))
    write_jsonl(tmp_path / "shots.jsonl", choice_rows(5, seed=1))
    simple(tmp_path, "own", extra="fewshot_split: test\n")
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
    found = inspect(folder, task, num_fewshot=most)
    assert found.tasks[0].num_fewshot == most
    assert found.tasks[0].sample["question"].count("\n\n") == most


def test_examples_from_the_items_are_pointed_out(folder: Path) -> None:
    found = inspect(folder, "own", "apart", num_fewshot=2)
    assert found.warnings == ("task 'own' draws its examples from the items that it is scored on",)


SHOWN = "draws its examples from the items that it is scored on; an item may be shown its own answer: name another"


@pytest.mark.parametrize(
    ("splits", "shown"),
    [
        ("test_split: test\nfewshot_split: test", False),
        ("validation_split: test\nfewshot_split: test", True),
        ("validation_split: test", False),
        ("test_split: test", True),
    ],
)
def test_an_item_that_may_be_shown_its_own_answer_is_pointed_out(folder: Path, splits: str, shown: bool) -> None:
    write_jsonl(folder / "rows.jsonl", choice_rows(9))
    declare(folder, "t", SIMPLE.format(name="t", data="rows.jsonl").replace("test_split: test", splits))
    everything = {"search": 1.0, "selection": 0.0, "test": 0.0}
    listing = inspect(folder, "t", num_fewshot=9 if shown else 8, splits=everything).tasks[0]
    assert (SHOWN in listing.warnings[0]) is shown
    *examples, asked = listing.sample["question"].split("\n\n")
    assert any(example.startswith(f"{asked} ") for example in examples) is shown


def test_examples_of_a_training_split_that_nobody_names_as_such(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """lm-eval draws one more than it shows, as if the item could be among them."""
    text = SIMPLE.format(name="t", data="rows.jsonl, train: shots.jsonl")
    text = text.replace("test_split: test", "validation_split: test\ntraining_split: train")
    declare(folder, "t", text)
    assert not inspect(folder, "t", num_fewshot=4).warnings
    said = (
        "asks for 5 examples, there are 5; lm-eval draws one more than it shows; set fitness.num_fewshot to 4 or less"
    )
    assert said in problems(folder, "t", num_fewshot=5)
    declare(folder, "t", text + "fewshot_config: {sampler: first_n}\n")
    assert not inspect(folder, "t", num_fewshot=5).warnings
    write_jsonl(folder / "shots.jsonl", [row | {"gold": 9} for row in choice_rows(5, seed=1)])
    assert "the right answer of 5 of 5 examples is none of their options" in problems(folder, "t", num_fewshot=2)
    monkeypatch.setattr(examples, "MOST_READ", 3)
    assert "the right answer of 3 of 3 examples is none of their options" in problems(folder, "t", num_fewshot=2)
