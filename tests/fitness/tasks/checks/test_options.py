"""Options that lm-eval would score as something else than they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fitness.tasks.declaring import WORDS, rows, told


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


def test_constant_options_are_texts_in_quotes_and_no_templates(tmp_path: Path) -> None:
    found = told(tmp_path, rows(a=0), yaml=True, fields={"choices": "[yes, no]"})
    assert "an option of 30 of 30 items is true or false, not a text; " in found
    assert "put quotes around it where it is declared" in found
    found = told(tmp_path, rows(a=0), yaml=True, fields={"choices": "['{{q}}', '{{a}}']"})
    assert "an option of 30 of 30 items is a template, which lm-eval leaves as it is" in found


def test_a_blank_option_is_pointed_out(tmp_path: Path) -> None:
    assert "an option of 30 of 30 items is blank; the first is item 1, 'Item 0:' with ' ' among" in told(
        tmp_path, rows(o=[" ", "red"], a=0)
    )


def test_options_that_decide_nothing_are_pointed_out(tmp_path: Path) -> None:
    found = told(tmp_path, rows(o=["red", "blue", "red"]))
    assert found.startswith("accepted: task 't': 30 of 30 items have the same option twice; the first is item 1, ")
    assert "with 'red'" in found
    assert "30 of 30 items have a single option" in told(tmp_path, rows(o=["red"], a=0))
