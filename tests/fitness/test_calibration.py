"""Gold answers of the search split as calibration texts, and the refusal of texts that hold other items."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evomerge.fitness import TaskSuite, gold_texts, held_out_problems
from tests.fitness.conftest import build

FRACTIONS = {"search": 0.5, "selection": 0.25, "test": 0.25}


@pytest.fixture
def split_suite(tasks: Path, tokenizer: Any, model: Any) -> TaskSuite:
    return build(tasks, tokenizer, model, ("choice", "cloze", "prose", "echo"), splits=FRACTIONS)


def test_prompts_come_with_their_right_answers(split_suite: TaskSuite) -> None:
    found = gold_texts(split_suite)
    assert len(found) == sum(map(len, split_suite.items["search"].values()))
    first = {name: split_suite.items["search"][name][0] for name in split_suite.benchmarks}
    choice = split_suite.benchmarks["choice"].items[first["choice"]]
    assert found[0] == {"prompt": choice.arguments[0][0], "answer": f" {choice.options[choice.gold[0]]}"}
    cloze = split_suite.benchmarks["cloze"].items[first["cloze"]]
    assert found[1] == {"prompt": cloze.doc["context"], "answer": f" {cloze.doc['word']}"}
    prose = split_suite.benchmarks["prose"].items[first["prose"]]
    assert found[2] == {"text": prose.doc["text"]}
    echo = split_suite.benchmarks["echo"].items[first["echo"]]
    assert found[3] == {"prompt": echo.doc["context"], "answer": f" {echo.doc['letter']}"}
    assert gold_texts(split_suite, 5) == found[:5]


def test_they_hold_no_other_item(split_suite: TaskSuite) -> None:
    texts = [(f"text {index}", tuple(text.values())) for index, text in enumerate(gold_texts(split_suite))]
    assert held_out_problems(split_suite, texts) == []


@pytest.mark.parametrize("split", ["selection", "test"])
def test_a_held_out_item_is_refused_by_name(split_suite: TaskSuite, split: str) -> None:
    item = split_suite.items[split]["choice"][0]
    question = str(split_suite.benchmarks["choice"].items[item].arguments[0][0])
    texts = [("a.jsonl, line 1", (question.upper().replace(" ", "  "), "yes")), ("a.jsonl, line 2", ("What?", "no"))]
    [problem] = held_out_problems(split_suite, texts)
    assert problem.startswith(f"a.jsonl, line 1: it holds item {item} of task 'choice'")
    assert f"in the {split} split" in problem
    inside = [("b.jsonl, line 7", (f"Once upon a time. {question} I do not know.",))]
    assert len(held_out_problems(split_suite, inside)) == 1
    many = [(f"line {number}", (question, "")) for number in range(9)]
    assert held_out_problems(split_suite, many)[-1] == "4 more calibration texts hold such items"
