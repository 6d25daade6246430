"""Right answers that lm-eval would compare as something else than they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fitness.tasks.declaring import WORDS, rows, told


@pytest.mark.parametrize(
    ("answer", "shown"),
    [(True, "true"), (1.5, "1.5"), (-1, "-1"), (3, "3"), ("grey", "'grey'"), ({"text": "red"}, "{'text': 'red'}")],
)
def test_answers_that_are_no_option_are_refused(tmp_path: Path, answer: Any, shown: str) -> None:
    found = told(tmp_path, rows(a=answer))
    assert found.startswith("refused: task 't': the right answer of 30 of 30 items is none of their options; ")
    assert f"'Item 0:' with 3 options and the answer {shown}; " in found
    assert ("{{a.text}}" if isinstance(answer, dict) else "give the text of an option, or its place") in found


@pytest.mark.parametrize("answer", [None, [], [None]])
@pytest.mark.parametrize("kind", ["multiple_choice", "generate_until", "loglikelihood"])
def test_items_without_an_answer_are_refused(tmp_path: Path, answer: Any, kind: str) -> None:
    found = told(tmp_path, rows(a=answer), kind=kind)
    assert found.startswith("refused: task 't': 30 of 30 items have no answer (")


@pytest.mark.parametrize("answer", ["{{a}}", "The answer is {{a}}.", "a"])
def test_null_is_no_text_wherever_a_template_prints_it(tmp_path: Path, answer: str) -> None:
    some = rows(a=lambda place: "x" if place % 2 else None)
    found = told(tmp_path, some, yaml=True, kind="generate_until", fields={"answer": answer})
    assert "15 of 30 items have no answer (null); the first is item 1, 'Item 0:' with null in the field 'a'" in found
    sound = told(tmp_path, some, yaml=True, kind="generate_until", fields={"answer": "{{a or 'y'}}"})
    assert sound == "accepted: "


def test_a_missing_field_is_null(tmp_path: Path) -> None:
    some = [row if place else {"q": row["q"], "o": row["o"]} for place, row in enumerate(rows())]
    assert "1 of 30 items have no answer (null); the first is item 1" in told(tmp_path, some)


def test_digits_are_places_with_a_warning_where_they_read_like_another_option(tmp_path: Path) -> None:
    numbers = ["1", "2", "3", "4"]
    found = told(tmp_path, rows(o=numbers, a=lambda place: "123"[place % 3]), yaml=True)
    assert found.startswith(
        "accepted: task 't': the right answer of 30 of 30 items is taken as a place, though it reads"
    )
    assert (
        "with the answer 1 among ['1', '2', '3', '4']: place 1, counted from 0, is '2'; if the text is meant, " in found
    )
    # Named alone, the field is a text, and the text of an option.
    assert told(tmp_path, rows(o=numbers, a=lambda place: "123"[place % 3]), fields={"answer": "a"}) == "accepted: "
    # Numbers in the data are places; only where all of them read like options does anybody have to look.
    found = told(tmp_path, rows(o=numbers, a=lambda place: place % 3 + 1))
    assert "a number, is taken as a place, though it reads like another option" in found
    some = rows(o=lambda place: ["7", "1", "0"] if place < 3 else WORDS)
    assert told(tmp_path, some) == "accepted: "
    assert told(tmp_path, rows(o=["0", "1", "2"])) == "accepted: "


def test_generated_answers(tmp_path: Path) -> None:
    def of(answer: Any, **changes: Any) -> str:
        return told(tmp_path, rows(a=answer), kind="generate_until", **changes)

    assert of(7) == "accepted: "  # compared as its text
    assert of(["x", "y"]) == "accepted: "
    assert "the right answer of 30 of 30 items is an object; " in of({"text": "x"})
    assert "{{a.text}}" in of({"text": "x"})
    assert "the right answer of 30 of 30 items is true or false in the data" in of(True)
    assert "and compared as 'True'" in of(True)
    assert of(True).startswith("accepted: ")
    assert "the right answer of 30 of 30 items is empty" in of("")
    assert "a right answer of 30 of 30 items is a number, not a text" in of([1, 2])
    # A text in brackets becomes a list behind the back of whoever wrote it.
    mixed = told(tmp_path, rows(a=lambda place: "[1]" if place else "x"), yaml=True, kind="generate_until")
    assert "the right answer of 29 of 30 items is a list, though that of the first item is not" in mixed


def test_scored_texts(tmp_path: Path) -> None:
    assert told(tmp_path, rows(a=" x"), kind="loglikelihood") == "accepted: "
    assert "is true or false, not a text" in told(tmp_path, rows(a=True), kind="loglikelihood")
    assert "is an object, not a text" in told(tmp_path, rows(a={"b": 1}), kind="loglikelihood")
    null = told(tmp_path, rows(a=None), kind="loglikelihood_rolling")
    assert "30 of 30 items have no answer (null)" in null


@pytest.mark.parametrize("kind", ["generate_until", "loglikelihood", "loglikelihood_rolling"])
def test_objects_and_lists_that_a_template_prints(tmp_path: Path, kind: str) -> None:
    def of(answer: Any, template: str) -> str:
        return told(tmp_path, rows(a=answer), yaml=True, kind=kind, fields={"answer": template})

    found = of({"text": "x", "start": 3}, "{{a}}")
    assert found.startswith("refused: task 't': the right answer of 30 of 30 items prints an object, with brackets and")
    assert """as "{'text': 'x', 'start': 3}"; name the text in it, for example "{{a.text}}"; if it is meant""" in found
    assert "write {{NAME | string}}" in found
    assert of({"text": "x"}, "{{a | string}}") == "accepted: "
    found = of({"text": ["x", "y"]}, "It is {{a.text}}.")
    assert found.startswith("accepted: task 't': the right answer of 30 of 30 items prints a list, with brackets and")
    assert "is true or false in the data" in of(True, "{{a}}")
