"""Items that lm-eval would score as something else than they say are refused or warned of, by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fitness.conftest import write_jsonl
from tests.fitness.tasks.declaring import INLINE, WORDS, declare, problems, rows, told


@pytest.mark.parametrize("yaml", [False, True])
def test_sound_items_are_accepted_in_silence(tmp_path: Path, yaml: bool) -> None:
    assert told(tmp_path, rows(), yaml=yaml) == "accepted: "
    assert told(tmp_path, rows(a=lambda place: WORDS[place % 3]), yaml=yaml) == "accepted: "
    assert told(tmp_path, rows(a=lambda place: WORDS[place % 3]), yaml=yaml, kind="generate_until") == "accepted: "


def test_one_late_row_is_enough(tmp_path: Path) -> None:
    late = rows(o=lambda place: ["red", None, "blue"] if place == 22 else WORDS)
    assert "an option of 1 of 30 items is null; the first is item 23, 'Item 22:'" in told(tmp_path, late)
    late = rows(a=lambda place: None if place > 20 else place % 3)
    assert "9 of 30 items have no answer (null); the first is item 22, 'Item 21:'" in told(tmp_path, late)


def test_what_a_remedy_says_works(tmp_path: Path) -> None:
    texts = rows(o="red, green, blue")
    assert told(tmp_path, texts, fields={"choices": "{{o.split(', ')}}"}) == "accepted: "
    numbers = rows(o=[10, 20, 30])
    assert told(tmp_path, numbers, fields={"choices": "{{o | map('string') | list}}"}) == "accepted: "
    letters = rows(a=lambda place: "ABC"[place % 3])
    assert "{{'ABC'.index(a)}}" in told(tmp_path, letters)
    assert told(tmp_path, letters, fields={"answer": "{{'ABC'.index(a)}}"}) == "accepted: "
    truths = rows(o=["no", "yes"], a=lambda place: place % 2 == 0)
    assert "{{a | int}}" in told(tmp_path, truths)
    assert told(tmp_path, truths, fields={"answer": "{{a | int}}"}) == "accepted: "
    digits = rows(a=lambda place: str(place % 3))
    assert "{{a | int}}" in told(tmp_path, digits)
    assert told(tmp_path, digits, fields={"answer": "{{a | int}}"}) == "accepted: "


def test_questions_are_texts(tmp_path: Path) -> None:
    assert "the question of 30 of 30 items holds null" in told(tmp_path, rows(q=None))
    found = told(tmp_path, rows(hint=lambda place: None if place else "h"), fields={"question": "{{q}} {{hint}}"})
    assert (
        "the question of 29 of 30 items holds null; the first is item 2, 'Item 1: None' with null in the field" in found
    )
    assert told(tmp_path, rows(hint=None), fields={"question": "{{q}} {{hint or ''}}"}) == "accepted: "
    assert "the question of 30 of 30 items is a number, not a text" in told(
        tmp_path, rows(q=lambda place: place), kind="generate_until"
    )
    # lm-eval takes a question of digits for the place of an option, and the options for questions.
    found = told(tmp_path, rows(q=lambda place: "2" if place < 3 else f"Q {place}"), yaml=True)
    assert "the question of 27 of 30 items is a text, but that of the first a number" in found


def test_questions_that_print_a_list_or_an_object(tmp_path: Path) -> None:
    found = told(tmp_path, rows(q=lambda place: ["Item", str(place)]), fields={"question": "Q: {{q}}"})
    assert found.startswith(
        "accepted: task 't': the question of 30 of 30 items prints a list, with brackets and quotes"
    )
    assert """as "Q: ['Item', '0']"; name its parts, or join them""" in found
    assert (
        told(tmp_path, rows(q=lambda place: ["Item", str(place)]), fields={"question": "{{q | join(' ')}}"})
        == "accepted: "
    )
    assert "prints an object" in told(
        tmp_path, rows(q=lambda place: {"de": f"Farbe {place}"}), fields={"question": "Q: {{q}}"}
    )


def test_an_undefined_field_is_named_with_what_there_is(tmp_path: Path) -> None:
    found = told(tmp_path, rows(), yaml=True, fields={"question": "{{qq}}"})
    assert "the question of 30 of 30 items cannot be read" in found
    assert "UndefinedError: 'qq' is undefined; did you mean 'q'? (fields: q, o, a)" in found


def test_dates_are_not_what_they_were(tmp_path: Path) -> None:
    dates = rows(a="2020-01-02")
    assert "is a date, not written as in the data" in told(tmp_path, dates, yaml=True, kind="generate_until")
    assert told(tmp_path, dates, kind="generate_until") == "accepted: "


def test_examples_are_checked_like_items(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "quiz.jsonl", [{"question": f"{n}?", "options": WORDS, "gold": n % 3} for n in range(30)])
    write_jsonl(
        tmp_path / "shots.jsonl", [{"question": "s", "options": WORDS, "gold": None if n else 1} for n in range(5)]
    )
    spec = INLINE | {"fewshot": "shots.jsonl", "num_fewshot": 2}
    assert "task 'quiz': 4 of 5 examples have no answer (null); the first is example 2" in problems(tmp_path, spec)


def test_code_of_a_task_knows_its_answers_itself(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "def judge(doc, results):\n    return {'acc': float(results[0][0] > -1)}\n", encoding="utf-8"
    )
    judged = (
        "process_results: !function own.judge\nmetric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]"
    )
    assert told(tmp_path, rows(a=None), yaml=True, extra=judged) == "accepted: "


def test_a_group_names_the_member_that_fails(tmp_path: Path) -> None:
    told(tmp_path, rows(o="red, green"), yaml=True)
    declare(tmp_path, "both", "group: both\ntask: [t]\n")
    assert "task 't': the options of 30 of 30 items are one text" in problems(tmp_path, "both")
