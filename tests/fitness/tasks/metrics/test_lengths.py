"""Lengths of answers as metrics of every task that generates, unless it has such metrics itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evomerge.evaluation.grammar import default_objectives, read_objectives
from evomerge.fitness.inference.requests import Generated
from evomerge.fitness.tasks.metrics.lengths import length_metrics
from tests.fitness.conftest import ECHO, build, scored
from tests.fitness.tasks.declaring import inspect

LENGTHS = {"tokens", "truncated"}
OWN = """
def process_results(doc, results):
    return {"tokens": len(results[0].split()), "exact_match": 0.0}
"""


def test_lengths_by_hand() -> None:
    ended, cut = Generated("a", False, ids=(5, 2)), Generated("b", True, ids=(7, 8, 9))
    assert length_metrics([ended], ()) == {"tokens": 2.0, "truncated": 0.0}
    assert length_metrics([ended, cut], ()) == {"tokens": 5.0, "truncated": 1.0}
    assert length_metrics([cut], ("exact_match", "tokens,strict")) == {"truncated": 1.0}
    assert length_metrics([Generated("nobody generated it", False)], ()) == {}
    assert length_metrics([], ()) == {}


def test_tasks_that_generate_have_them(tasks: Path, model: Any, tokenizer: Any) -> None:
    suite = build(tasks, tokenizer, model, ("echo", "choice"))
    known = {key: info.higher_is_better for key, info in suite.metrics.items()}
    assert {key for key in known if key.rpartition(".")[2] in LENGTHS} == {"echo.tokens", "echo.truncated"}
    assert known["echo.tokens"] is known["echo.truncated"] is False
    metrics, responses = scored(suite, model)
    echoes = [response for response in responses if response.task == "echo"]
    assert metrics["echo.tokens"] == pytest.approx(sum(one.tokens[0] for one in echoes) / len(echoes))
    assert metrics["echo.truncated"] == pytest.approx(sum(one.truncated for one in echoes) / len(echoes))
    assert 0.0 < metrics["echo.truncated"] < 1.0
    # What a person asks for who names nothing stays the task's own.
    assert default_objectives(known, ["echo"]) == ["echo.exact_match,first-letter"]
    wanted = read_objectives(["echo.tokens", "0.5*echo.truncated"], known)
    assert [objective.higher_is_better for objective in wanted] == [False, False]


def test_a_tasks_own_metric_of_that_name_stays(tasks: Path, model: Any, tokenizer: Any, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    text = (
        ECHO.partition("filter_list")[0]
        .replace("task: echo", "task: words")
        .replace("cloze.jsonl", str(tasks / "cloze.jsonl"))
    )
    declared = "metric_list:\n  - {metric: tokens, aggregation: mean, higher_is_better: true}\n"
    declared += "  - {metric: exact_match, aggregation: mean, higher_is_better: true}\n"
    (tmp_path / "words.yaml").write_text(f"{text}process_results: !function own.process_results\n{declared}")
    suite = build(tmp_path, tokenizer, model, ("words",))
    assert suite.metrics["words.tokens"].higher_is_better
    assert not suite.metrics["words.truncated"].higher_is_better
    metrics, responses = scored(suite, model)
    words = [len(response.texts[0].split()) for response in responses]
    assert metrics["words.tokens"] == pytest.approx(sum(words) / len(words))
    assert words != [response.tokens[0] for response in responses]


def test_they_are_seen_before_anything_is_scored(tasks: Path) -> None:
    assert {key for key in inspect(tasks, "echo").metrics if key.rpartition(".")[2] in LENGTHS} == {
        "echo.tokens",
        "echo.truncated",
    }
