"""An item's split follows from the row of the data behind it, whatever task asks it, and however."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evomerge.evaluation import SPLITS
from evomerge.fitness.tasks.build import Opened
from evomerge.fitness.tasks.documents import doc_hash
from tests.fitness.conftest import choice_rows, write_jsonl
from tests.fitness.tasks.declaring import declare, opened, simple

CODE = """
import datasets

def shout(rows):
    return rows.map(lambda doc: {"stem": doc["stem"].upper()})

def narrow(rows):
    return rows.map(lambda doc: {"stem": doc["stem"], "options": doc["options"], "gold": doc["gold"]}).select(
        range(len(rows) - 1, -1, -2))

def rebuild(rows):
    return datasets.Dataset.from_list(
        [{"stem": f"{doc['stem']}!", "options": doc["options"], "gold": doc["gold"]} for doc in rows])

def pick(rows):
    return datasets.Dataset.from_list(
        [{"stem": f"{doc['stem']}!", "options": doc["options"], "gold": doc["gold"]} for doc in rows][::2])

def sort(rows):
    return rebuild(rows.select(sorted(range(len(rows)), key=lambda place: rows[place]["gold"])))

def shuffle(rows):
    return rebuild(rows.shuffle(seed=1))

def twice(rows):
    return datasets.concatenate_datasets([rows, rows])

def same(rows):
    return rows.map(lambda doc: {"stem": "alike"})
"""

OWN = """
from lm_eval.api.task import ConfigurableTask

class Own(ConfigurableTask):
    VERSION = 1

    def __init__(self, config=None):
        super().__init__(config=dict(
            task="own", dataset_path="json", dataset_kwargs=dict(data_files=dict(test="{file}")), test_split="test",
            output_type="multiple_choice", doc_to_text="stem", doc_to_choice="options", doc_to_target="gold"))

    def test_docs(self):
        rows = self.dataset["test"]
        return {docs}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "rows.jsonl", choice_rows(60))
    (tmp_path / "code.py").write_text(CODE, encoding="utf-8")
    for name in ("plain", "other"):
        simple(tmp_path, name)
    for name in ("shout", "narrow", "rebuild", "pick", "sort", "shuffle", "twice", "same"):
        simple(tmp_path, name, extra=f"process_docs: !function code.{name}\n")
    return tmp_path


def numbers(found: Opened, task: str) -> dict[str, set[int]]:
    """The rows behind a task's items, by split; each row's number ends its stem."""
    items = found.benchmarks[task].items
    return {
        split: {int(items[item].doc["stem"].strip("!").split()[-1]) for item in found.items[split][task]}
        for split in SPLITS
    }


@pytest.mark.parametrize("name", ["other", "shout", "narrow", "rebuild", "twice"])
def test_tasks_over_the_same_rows_hold_the_same_ones_out(folder: Path, name: str) -> None:
    found = opened(folder, "plain", name)
    one, two = numbers(found, "plain"), numbers(found, name)
    assert all(two[split] <= one[split] for split in SPLITS)
    assert sum(map(len, two.values())) in (30, 60)
    assert not any(benchmark.warnings for benchmark in found.benchmarks.values())


def test_under_rule_1_they_do_not(folder: Path) -> None:
    found = opened(folder, "plain", "other", split_rule=1)
    assert numbers(found, "plain")["search"] & numbers(found, "other")["test"]


def test_another_declaration_over_the_same_data_agrees_too(folder: Path) -> None:
    rows = choice_rows(60)
    # A file with a field more in one row, a number with a point, and half of the items.
    write_jsonl(
        folder / "half.jsonl", [row | {"gold": float(row["gold"])} for row in rows[::2]] + [{**rows[1], "x": 1}]
    )
    spec = {"task": "quiz", "data": str(folder / "half.jsonl"), "question": "{{stem}}?", "choices": "{{options}}"}
    found = opened(folder, "plain", spec | {"answer": "{{gold | int}}"})
    one, two = numbers(found, "plain"), numbers(found, "quiz")
    same = {split: two[split] - {1} for split in SPLITS}  # the row with another field is another document
    assert all(same[split] <= one[split] for split in SPLITS)
    assert sum(map(len, same.values())) == 30


@pytest.mark.parametrize("name", ["pick", "sort", "shuffle"])
def test_rows_that_cannot_be_found_are_warned_of(folder: Path, name: str) -> None:
    found = opened(folder, "plain", name)
    (warning,) = found.benchmarks[name].warnings
    assert warning.startswith(f"task {name!r} rebuilds its documents (process_docs or code of its own)")
    assert warning.endswith("it may search on what 'plain' holds out")
    assert not opened(folder, name).benchmarks[name].warnings


def test_documents_of_a_tasks_own_code_are_warned_of_too(folder: Path) -> None:
    declare(folder, "own", "task: own\nclass: !function own.Own\n")
    (folder / "own.py").write_text(
        OWN.format(file=folder / "rows.jsonl", docs='rows.map(lambda doc: {"stem": doc["stem"] + "!"})'), "utf-8"
    )
    (warning,) = opened(folder, "plain", "own").benchmarks["own"].warnings
    assert warning.startswith("task 'own' rebuilds its documents")
    (folder / "own.py").write_text(OWN.format(file=folder / "rows.jsonl", docs="rows.shuffle(seed=1)"), "utf-8")
    found = opened(folder, "plain", "own")
    assert numbers(found, "plain") == numbers(found, "own")
    assert not found.benchmarks["own"].warnings


def test_texts_that_another_task_holds_out_are_warned_of(folder: Path) -> None:
    """Two files of the same questions: whoever made them knows what differs, and nobody else."""
    rows = [row | {"stem": f"Which word ends {row['stem']}"} for row in choice_rows(60)]
    write_jsonl(folder / "rows.jsonl", rows)
    write_jsonl(folder / "reasons.jsonl", [row | {"why": "because"} for row in rows])
    spec = {"task": "quiz", "data": str(folder / "reasons.jsonl"), "question": "{{stem}}?", "choices": "{{options}}"}
    spec |= {"answer": "{{gold}}"}
    found = opened(folder, "plain", spec)
    held, searched = numbers(found, "plain"), numbers(found, "quiz")["search"]
    count = len(searched & (held["test"] | held["selection"]))
    (warning,) = found.benchmarks["quiz"].warnings
    assert warning.startswith(f"task 'quiz' searches on {count} texts that 'plain' holds out, the first is ")
    assert warning.endswith(
        "; their documents differ in other fields, so their splits differ: let both tasks read one file"
    )
    write_jsonl(folder / "reasons.jsonl", [row | {"stem": f"Now: {row['stem']}"} for row in rows])
    assert not opened(folder, "plain", spec).benchmarks["quiz"].warnings


def test_equal_documents_stay_together(folder: Path) -> None:
    found = opened(folder, "same")
    options = {
        item: json.dumps([doc.doc["options"], doc.doc["gold"]]) for item, doc in found.benchmarks["same"].items.items()
    }
    assert len(set(options.values())) == 60
    twins = choice_rows(30)
    write_jsonl(folder / "rows.jsonl", [*twins, *twins])
    places = {item: split for split, tasks in opened(folder, "plain").items.items() for item in tasks["plain"]}
    assert len(places) == 60
    assert all(places[item] == places[f"{item}-2"] for item in places if f"{item}-2" in places)


def test_rule_1_keeps_the_splits_and_samples_of_old_runs(tasks: Path) -> None:
    names = ("choice", "letters", "cloze", "prose", "echo")
    found = opened(tasks, *names, items_per_task=6, test_items_per_task=3, seed=3, split_rule=1)
    old = json.loads((Path(__file__).parents[1] / "splits_rule_1.json").read_text(encoding="utf-8"))
    assert {split: {task: list(ids) for task, ids in part.items()} for split, part in found.items.items()} == old


def test_doc_hash_is_lm_evals(tasks: Path, model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.fitness.test_equality import theirs

    monkeypatch.chdir(tasks)
    logged = theirs(["choice"], tasks, model, tokenizer)["samples"]["choice"]
    items = opened(tasks, "choice").benchmarks["choice"].items
    assert {sample["doc_hash"] for sample in logged} == {doc_hash(item.doc) for item in items.values()}
