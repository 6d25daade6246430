"""The generated questions of the SmolLM2 study: committed as generated, distinct, solvable, disjoint from training."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest
import yaml
from lm_eval.tasks import TaskManager

from experiments.smollm2 import data, words

TASKS = (*data.GENERATORS, "general")


def committed(task: str) -> list[data.Item]:
    lines = (data.TASKS_FOLDER / f"{task}.jsonl").read_text().splitlines()
    return [data.Item(**{**fields, "options": tuple(fields["options"])}) for fields in map(json.loads, lines)]


@pytest.mark.parametrize("task", TASKS)
def test_regeneration_gives_the_committed_bytes(task: str) -> None:
    assert (data.TASKS_FOLDER / f"{task}.jsonl").read_text() == data.jsonl(data.evaluation_items(task))


@pytest.mark.parametrize("task", TASKS)
def test_items_are_distinct_and_have_the_right_answer_once(task: str) -> None:
    items = committed(task)
    assert len(items) >= 600
    assert len({item.key for item in items}) == len({item.question for item in items}) == len(items)
    for item in items:
        assert len(set(item.options)) == data.OPTIONS
        assert 0 <= item.answer < data.OPTIONS
        assert item.question == item.question.strip()
        assert all(option == option.strip() != "" for option in item.options)


@pytest.mark.parametrize("task", TASKS)
def test_no_position_gives_the_answer_away(task: str) -> None:
    items = committed(task)
    for place in range(data.OPTIONS):
        share = sum(item.answer == place for item in items) / len(items)
        assert 0.2 < share < 0.3


@pytest.mark.parametrize("skill", data.SKILLS)
def test_training_asks_nothing_that_is_evaluated(skill: str) -> None:
    asked = {item.question for task in TASKS for item in committed(task)}
    examples = list(islice(data.training_examples(skill), 3000))
    assert not asked & {prompt for prompt, _ in examples}
    assert examples == list(islice(data.training_examples(skill), 3000))


def test_training_leaves_out_keys_whatever_the_wording() -> None:
    held_out = {item.key for item in committed("numbers")}
    prompts = [prompt for prompt, _ in islice(data.training_examples("numbers"), 3000)]
    sums = [prompt.split() for prompt in prompts if " more. " in prompt]
    assert sums
    assert not held_out & {f"gets {text[5]} more from {text[2]}" for text in sums}


def test_list_answers_follow_from_the_questions() -> None:
    seen = set()
    for item in committed("lists"):
        command, text = item.key.split(": ")
        listed, right = text.split(", "), item.options[item.answer]
        seen.add(command.split()[0])
        if command == "Reversed":
            assert right.split(", ") == listed[::-1]
        elif command == "Alphabetical":
            assert right.split(", ") == sorted(listed)
        elif command == "Longest":
            assert all(len(other) < len(right) for other in listed if other != right)
        elif command.startswith("Without "):
            assert right.split(", ") == [word for word in listed if word != command.removeprefix("Without ")]
        else:
            assert right == listed[{"First": 0, "Second": 1, "Third": 2, "Fourth": 3, "Last": -1}[command]]
    assert {"Reversed", "Alphabetical", "Longest", "Without", "First", "Last"} <= seen


def test_weekdays_follow_from_the_calendar() -> None:
    for item in committed("numbers"):
        if not item.question.startswith("The day "):
            continue
        distance, side, start = item.question.split()[2], item.question.split()[4], item.question.split()[5]
        step = int(distance) if side == "after" else -int(distance)
        assert item.options[item.answer] == words.DAYS[(words.DAYS.index(start) + step) % 7]


def test_transfer_needs_both_skills() -> None:
    zovian = words.zovian_dictionary()
    for item in committed("transfer"):
        lines = [option.splitlines() for option in item.options]
        chosen = [word for word, _, _ in lines]
        translations = [line.removeprefix("Zovian: ") for _, _, line in lines]
        assert all(english == f"English: {word}" for word, english, _ in lines)
        assert translations[item.answer] == zovian[chosen[item.answer]]
        assert chosen.count(chosen[item.answer]) == translations.count(translations[item.answer]) == 2


def test_zovian_puts_the_adjective_after_the_noun() -> None:
    zovian = words.zovian_dictionary()
    assert len(set(zovian.values())) == len(zovian)
    for item in committed("zovian"):
        first, *_, last = item.key.split()
        expected = f"{zovian[first]} en {zovian[last]}" if " and " in item.key else f"{zovian[last]} {zovian[first]}"
        assert item.options[item.answer] == expected


@pytest.mark.parametrize("task", TASKS)
def test_lm_eval_loads_the_task_offline(task: str, tmp_path: Path) -> None:
    config = yaml.safe_load((data.TASKS_FOLDER / f"{task}.yaml").read_text())
    files = config["dataset_kwargs"]["data_files"]
    config["dataset_kwargs"] = {
        "data_files": {split: str(data.TASKS_FOLDER / name) for split, name in files.items()},
        "cache_dir": str(tmp_path),
    }
    loaded = TaskManager(include_defaults=False).load([config])["tasks"][f"smollm2_{task}"]
    item, doc = committed(task)[0], next(iter(loaded.eval_docs))
    assert loaded.doc_to_text(doc) == item.question
    assert loaded.doc_to_choice(doc) == list(item.options)
    assert loaded.doc_to_target(doc) == item.answer
    assert len(loaded.eval_docs) == len(committed(task))
