"""Parts of documents are read as lm-eval reads them, templates compiled once."""

from __future__ import annotations

from pathlib import Path

import lm_eval.utils
import pytest
from lm_eval.api.task import ConfigurableTask

from evomerge.fitness.tasks.checks.fields import Fields, compiled_once
from tests.fitness.tasks.declaring import opened


@pytest.fixture
def task(tasks: Path) -> ConfigurableTask:
    found = opened(tasks, "choice").benchmarks["choice"].task
    assert isinstance(found, ConfigurableTask)
    return found


def test_what_a_template_prints_is_noted(task: ConfigurableTask) -> None:
    fields = Fields(task, task.config)
    doc = {"stem": "river", "options": ["a", "b"], "gold": 1}
    reading = fields.read("doc_to_text", doc)
    assert reading.value == reading.printed == "Which word ends river?\nAnswer:"
    assert (reading.texts, reading.nulls) == (True, False)
    assert fields.read("doc_to_text", doc | {"stem": None}).nulls
    assert fields.read("doc_to_text", doc | {"stem": float("nan")}).nulls
    assert fields.read("doc_to_choice", doc).value == ["a", "b"]
    gold = fields.read("doc_to_target", doc)
    assert (gold.value, gold.printed, gold.texts) == (1, "1", False)
    assert fields.read("doc_to_target", doc | {"gold": "1"}).texts
    assert "'gold' is undefined" in str(fields.read("doc_to_target", {"stem": "x"}).error)
    assert fields.field("doc_to_choice") == "options"
    assert fields.names("doc_to_text") == ["stem"]


def test_templates_are_compiled_once_and_as_before_afterwards() -> None:
    environment = lm_eval.utils.env
    with compiled_once():
        assert lm_eval.utils.apply_template("{{a}}!", {"a": 1}) == "1!"
        assert environment.from_string("{{a}}!") is environment.from_string("{{a}}!")
    assert environment.from_string("{{a}}!") is not environment.from_string("{{a}}!")
