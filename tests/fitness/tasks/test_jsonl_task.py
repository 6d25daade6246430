"""Tasks declared over a JSONL file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evomerge.fitness import FitnessSettings, TaskSuite
from tests.fitness.conftest import scored, write_jsonl
from tests.fitness.tasks.declaring import INLINE, inspect, problems


def test_jsonl_with_template_fields(folder: Path) -> None:
    found = inspect(folder, INLINE)
    listing = found.tasks[0]
    assert (listing.task, listing.output_type, listing.total) == ("quiz", "multiple_choice", 30)
    assert listing.sample["question"] == "Question 0? Answer:"
    # The right answer is the text "3", which is not the option at place 3.
    assert listing.sample["gold"] == "3"
    assert {"quiz.acc", "quiz.acc_norm", "quiz.gold_logprob"} <= set(found.metrics)


def test_jsonl_with_generated_answers(folder: Path, tokenizer: Any, model: Any) -> None:
    spec = {"task": "free", "data": str(folder / "quiz.jsonl"), "question": "{{question}}", "answer": "{{gold}}"}
    settings = FitnessSettings((spec | {"max_gen_toks": 4, "stop": ["a"]},), max_length=64)
    suite = TaskSuite.build(settings, tokenizer, config=model.config)
    metrics, responses = scored(suite, model)
    assert list(metrics) == ["free.exact_match", "free.tokens", "free.truncated"]
    assert all("a" not in response.texts[0] for response in responses)


def test_jsonl_with_examples_of_its_own(folder: Path) -> None:
    write_jsonl(folder / "shots.jsonl", [{"question": "Shot?", "options": ["7", "3"], "gold": "7", "extra": 1}])
    found = inspect(folder, INLINE | {"fewshot": "shots.jsonl", "num_fewshot": 1})
    assert found.tasks[0].sample["question"] == "Shot? Answer: 7\n\nQuestion 0? Answer:"
    assert not found.warnings


def test_templates_that_name_no_field_list_the_fields(folder: Path) -> None:
    told = problems(folder, INLINE | {"question": "{{qestion}} of {% for o in options %}{{o}}{% endfor %}"})
    assert (
        "task 'quiz': question names the field 'qestion', which the data do not have; did you mean 'question'?" in told
    )
    assert "the fields are question, options, gold" in told
    assert "'o'" not in told
    assert "task 'quiz': answer is not a template" in problems(folder, INLINE | {"answer": "{{gold"})


def test_a_task_without_choices_is_said_to_be_generated(folder: Path) -> None:
    spec = {key: value for key, value in INLINE.items() if key != "choices"}
    found = inspect(folder, spec)
    assert found.warnings == ("task 'quiz' has no choices: taken as a generation task",)
    assert not inspect(folder, spec | {"output_type": "generate_until"}).warnings


def test_options_may_be_a_tuple_in_python(folder: Path) -> None:
    found = inspect(folder, INLINE | {"choices": ("7", "3")})
    assert found.tasks[0].sample["options"] == ["7", "3"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"stop": "x"}, "stop: has no effect, since a task of kind multiple_choice generates nothing; leave it out"),
        ({"generation_kwargs": {}}, "generation_kwargs: has no effect, since a task of kind multiple_choice"),
        (
            {"output_type": "generate_until", "generation_kwargs": {}, "stop": "x"},
            "stop: has no effect beside generation_kwargs; write it there, as until",
        ),
        ({"metrics": "acc", "metric_list": [{"metric": "acc"}]}, "metrics: has no effect beside metric_list"),
    ],
)
def test_keys_without_effect_are_refused(folder: Path, changes: dict[str, Any], said: str) -> None:
    assert f"tasks: task 'quiz': {said}" in problems(folder, INLINE | changes)
