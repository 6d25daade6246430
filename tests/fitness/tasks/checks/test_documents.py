"""Items that lm-eval would score as something else than they say are refused or warned of, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fitness.conftest import write_jsonl
from tests.fitness.tasks.declaring import INLINE, declare, problems, told

WORDS = ["red", "green", "blue"]


def rows(count: int = 30, **changes: Any) -> list[dict[str, Any]]:
    """Sound documents, with fields replaced: by a value, or by what a function makes of the place."""
    found = []
    for place in range(count):
        row = {"q": f"Item {place}:", "o": WORDS, "a": place % 3}
        found.append(row | {key: value(place) if callable(value) else value for key, value in changes.items()})
    return found


@pytest.mark.parametrize("yaml", [False, True])
def test_sound_items_are_accepted_in_silence(tmp_path: Path, yaml: bool) -> None:
    assert told(tmp_path, rows(), yaml=yaml) == "accepted: "
    assert told(tmp_path, rows(a=lambda place: WORDS[place % 3]), yaml=yaml) == "accepted: "
    assert told(tmp_path, rows(a=lambda place: WORDS[place % 3]), yaml=yaml, kind="generate_until") == "accepted: "


@pytest.mark.parametrize(
    ("options", "choices", "said", "remedy"),
    [
        ("red, green", "{{o}}", "the options of {all} are one text, not a list", "split it: \"{{o.split(', ')}}\""),
        ("red|green", "o", "the options of {all} are one text, not a list", "split it: \"{{o.split('|')}}\""),
        ('["red", "green"]', "o", "the options of {all} are one text, not a list", "without quotes around it"),
        ({"text": WORDS, "n": 3}, "o", "the options of {all} are an object, not a list", '"{{o.text}}"'),
        (None, "o", "the options of {all} are null", "with null in the field 'o'"),
        ([], "o", "{all} have no options", "give a list of texts"),
        (7, "o", "the options of {all} are a number, not a list", "with 7"),
        (["", "green"], "o", "an option of {all} is empty", "with '' among ['', 'green']"),
        (["red", None], "o", "an option of {all} is null", "with null among ['red', None]"),
        ([1, 2], "o", "an option of {all} is a number, not a text", "\"{{o | map('string') | list}}\""),
        ([True, False], "{{o}}", "an option of {all} is true or false, not a text", "write options as texts"),
        ([["red"], ["green"]], "o", "an option of {all} is a list, not a text", "with ['red'] among"),
        ([{"text": "red"}, {"text": "blue"}], "o", "an option of {all} is an object, not a text", "{'text': 'red'}"),
    ],
)
@pytest.mark.parametrize("yaml", [False, True])
def test_options_that_are_no_list_of_texts_are_refused(
    tmp_path: Path, options: Any, choices: str, said: str, remedy: str, yaml: bool
) -> None:
    found = told(tmp_path, rows(o=options, a=0), yaml=yaml, fields={"choices": choices})
    assert found.startswith(f"refused: task 't': {said.format(all='30 of 30 items')}; the first is item 1, 'Item 0:'")
    assert remedy in found
    assert len(found.splitlines()) == 1


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


def test_constant_options_are_texts_in_quotes_and_no_templates(tmp_path: Path) -> None:
    found = told(tmp_path, rows(a=0), yaml=True, fields={"choices": "[yes, no]"})
    assert "an option of 30 of 30 items is true or false, not a text; " in found
    assert "put quotes around it where it is declared" in found
    found = told(tmp_path, rows(a=0), yaml=True, fields={"choices": "['{{q}}', '{{a}}']"})
    assert "an option of 30 of 30 items is a template, which lm-eval leaves as it is" in found


@pytest.mark.parametrize(
    ("answer", "shown"),
    [(True, "true"), (1.5, "1.5"), (-1, "-1"), (3, "3"), ("grey", "'grey'"), ({"text": "red"}, "{'text': 'red'}")],
)
def test_answers_that_are_no_option_are_refused(tmp_path: Path, answer: Any, shown: str) -> None:
    found = told(tmp_path, rows(a=answer))
    assert found.startswith("refused: task 't': the right answer of 30 of 30 items is none of their options; ")
    assert f"'Item 0:' with 3 options and the answer {shown}; give the text of an option, or its place" in found


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


def test_an_undefined_field_is_named_with_what_there_is(tmp_path: Path) -> None:
    found = told(tmp_path, rows(), yaml=True, fields={"question": "{{qq}}"})
    assert "the question of 30 of 30 items cannot be read" in found
    assert "UndefinedError: 'qq' is undefined; did you mean 'q'? (fields: q, o, a)" in found


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


def test_options_that_decide_nothing_are_pointed_out(tmp_path: Path) -> None:
    found = told(tmp_path, rows(o=["red", "blue", "red"]))
    assert found.startswith("accepted: task 't': 30 of 30 items have the same option twice; the first is item 1, ")
    assert "with 'red'" in found
    assert "30 of 30 items have a single option" in told(tmp_path, rows(o=["red"], a=0))


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


def test_dates_are_not_what_they_were(tmp_path: Path) -> None:
    dates = rows(a="2020-01-02")
    assert "is a date, not written as in the data" in told(tmp_path, dates, yaml=True, kind="generate_until")
    assert told(tmp_path, dates, kind="generate_until") == "accepted: "


def test_scored_texts(tmp_path: Path) -> None:
    assert told(tmp_path, rows(a=" x"), kind="loglikelihood") == "accepted: "
    assert "is true or false, not a text" in told(tmp_path, rows(a=True), kind="loglikelihood")
    assert "is an object, not a text" in told(tmp_path, rows(a={"b": 1}), kind="loglikelihood")
    null = told(tmp_path, rows(a=None), kind="loglikelihood_rolling")
    assert "30 of 30 items have no answer (null)" in null


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
