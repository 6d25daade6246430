"""Judging that fails on some item, or for every answer, is found out before a model is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fitness.conftest import write_jsonl
from tests.fitness.tasks.declaring import declare, inspect, problems

TASK = """
task: t
dataset_path: json
dataset_kwargs: {{data_files: {{test: rows.jsonl}}}}
test_split: test
output_type: generate_until
doc_to_text: q
doc_to_target: a
generation_kwargs: {{until: ["x"]}}
{lines}
"""
CODE = """
def picky(doc, results):
    if doc["n"] == 17:
        raise RuntimeError("no key")
    return {"acc": float(results[0] == doc["a"])}

def only_words(doc, results):
    return {"acc": {"word": 1.0}[results[0].split()[0]]}

def text(doc, results):
    return {"acc": "good"}

def fine(doc, results):
    return {"acc": 1.0}

def nothing(doc, results):
    return {}

def never(doc, results):
    return {"acc": float("nan")}

def broken(values):
    return {}["nothing"]

def ratio(values):
    return sum(values) / sum(value > 0 for value in values)
"""
METRIC = "metric_list: [{{metric: acc, aggregation: {0}, higher_is_better: true}}]"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "rows.jsonl", [{"n": n, "q": f"Item {n}:", "a": f"word {n}"} for n in range(40)])
    (tmp_path / "code.py").write_text(CODE, encoding="utf-8")
    return tmp_path


def told(folder: Path, judge: str, aggregation: str = "mean") -> str:
    lines = f"process_results: !function code.{judge}\n{METRIC.format(aggregation)}"
    declare(folder, "t", TASK.format(lines=lines))
    return problems(folder, "t")


def test_an_item_that_cannot_be_judged_is_named(folder: Path) -> None:
    said = told(folder, "picky")
    assert said == (
        "task 't': answers to 1 of 40 items cannot be judged; the first is item 18, 'Item 17:' with the right answer "
        "'word 17': RuntimeError: no key"
    )


def test_a_late_item_that_cannot_be_judged_is_named(folder: Path) -> None:
    late = [{"n": n - 300, "q": f"Item {n}:", "a": f"word {n}"} for n in range(320)]
    write_jsonl(folder / "rows.jsonl", late)
    said = told(folder, "picky")
    assert "answers to 1 of 320 items cannot be judged; the first is item 318, 'Item 317:'" in said


def test_what_fails_for_every_answer_is_told_once(folder: Path) -> None:
    start = (
        "task 't': metric 'acc' cannot be aggregated over items, the first is 'Item 0:' with the right answer 'word 0'"
    )
    assert told(folder, "text").startswith(f"{start}: TypeError: ")
    assert told(folder, "fine", "!function code.broken").startswith(f"{start}: KeyError: ")


def test_code_that_dislikes_an_empty_answer_is_warned_of(folder: Path) -> None:
    lines = f"process_results: !function code.only_words\n{METRIC.format('!function code.ratio')}"
    declare(folder, "t", TASK.format(lines=lines))
    found = inspect(folder, "t")
    assert found.metrics == {"t.acc": True, "t.tokens": False, "t.truncated": False}
    said = [warning for warning in found.warnings if "raises an error" in warning]
    assert said == [
        "task 't': the code that judges 40 of 40 items raises an error where the answer is ''; the first is item 1, "
        "'Item 0:' with IndexError: list index out of range; a model that answers so counts as failed; let the code "
        "score every text",
        "task 't': the code that judges 40 of 40 items raises an error where the answer is '?'; the first is item 1, "
        "'Item 0:' with KeyError: '?'; a model that answers so counts as failed; "
        "let the code score every text",
    ]


def test_lists_of_answers_under_a_metric_of_texts(folder: Path) -> None:
    write_jsonl(folder / "rows.jsonl", [{"n": n, "q": f"Item {n}:", "a": ["x", "y"]} for n in range(40)])
    declare(folder, "t", TASK.format(lines="metric_list: [{metric: bleu}]"))
    # lm-eval makes 0 or 1 of an item with several right answers, of which BLEU cannot be computed.
    said = problems(folder, "t")
    assert (
        "task 't': metric 'bleu' cannot be aggregated over items, the first is 'Item 0:' with the right answer" in said
    )


def test_only_items_that_are_asked_are_judged(folder: Path) -> None:
    declare(folder, "t", TASK.format(lines=f"process_results: !function code.picky\n{METRIC.format('mean')}"))
    found = inspect(folder, "t", items_per_task=2, test_items_per_task=2)
    assert found.tasks[0].items == {"search": 2, "selection": 2, "test": 2}


def test_judging_that_gives_no_metric_or_no_number(folder: Path) -> None:
    assert told(folder, "nothing") == (
        "task 't': judging gives no metric; let its code return some, or declare a metric_list"
    )
    declare(folder, "t", TASK.format(lines=f"process_results: !function code.never\n{METRIC.format('mean')}"))
    said = "task 't': metric 'acc' is not a finite number where every answer is right"
    assert said in inspect(folder, "t").warnings
