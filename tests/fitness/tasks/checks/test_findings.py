"""Findings are one sentence per kind, with how many items and the first of them."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pytest

from evomerge.fitness.tasks.checks.findings import Case, Findings, kind_of, null_field, shown


def test_one_sentence_per_kind() -> None:
    found = Findings("quiz", 9)
    for place in (4, 6):
        case = Case(found, place, {}, question=f"Which\n{place}?")
        case.tell("an option of {items} is empty", "with ''", remedy="leave it out")
    Case(found, 7, {}, question=None).tell("{items} look odd", fatal=False)
    assert found.problems == [
        "task 'quiz': an option of 2 of 9 items is empty; the first is item 5, 'Which 4?' with ''; leave it out"
    ]
    assert found.warnings == ["task 'quiz': 1 of 9 items look odd; the first is item 8, null"]
    assert found.count("{items} look odd") == 1
    found.drop("{items} look odd")
    assert found.warnings == []


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("", ""),
        (None, "null"),
        (float("nan"), "NaN"),
        (True, "true or false"),
        (3, "a number"),
        (1.5, "a number"),
        ([1], "a list"),
        ((1,), "a list"),
        (np.zeros(2), "a list"),
        ({}, "an object"),
        (datetime.date(2020, 1, 2), "a date"),
    ],
)
def test_kinds_are_named_for_people(value: Any, kind: str) -> None:
    assert kind_of(value) == kind


def test_values_are_shown_short() -> None:
    assert shown("a\n  b") == "'a b'"
    assert shown(None) == "null"
    assert shown(False) == "false"
    assert len(shown("x" * 500)) == len(shown(["x"] * 500)) + 2 == 82
    assert null_field(["a", "b"], {"a": 1, "b": None}) == "with null in the field 'b'"
    assert null_field(["c"], {"a": 1}) == ""
