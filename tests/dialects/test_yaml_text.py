"""YAML of strangers: plain values, every key once, bounded in length, depth and what aliases repeat."""

from __future__ import annotations

import pytest

from evomerge.dialects import yaml_text
from evomerge.dialects.yaml_text import documents
from evomerge.errors import InputError


def test_documents_anchors_and_merge_keys() -> None:
    text = "a: &x {w: 1, d: 1e-3}\nb: *x\nc: {<<: *x, w: 2}\n---\n---\n[1, 2.5, yes, '3']\n"
    assert documents(text, "f.yml") == [
        {"a": {"w": 1, "d": "1e-3"}, "b": {"w": 1, "d": "1e-3"}, "c": {"w": 2, "d": "1e-3"}},
        [1, 2.5, True, "3"],
    ]
    assert documents("", "f.yml") == []


def test_every_key_given_twice_is_named() -> None:
    with pytest.raises(InputError) as caught:
        documents("a: 1\nb: {c: 1, c: 2}\na: 2\n", "f.yml")
    assert caught.value.problems == (
        "f.yml: key 'a' is given twice, in lines 1 and 3",
        "f.yml: key 'c' is given twice, in lines 2 and 2",
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [1", "f.yml is not YAML that can be read: .*line 1"),
        ("a: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("a: 2020-13-45", "f.yml is not YAML that can be read: month must be in 1..12"),
        ("\0", "f.yml is not YAML"),
        ("[" * 5000, "nested more than 40 deep in line 1"),
        ("&a [*a]", "f.yml: the value in line 1 holds itself"),
        ("a: &a\n  <<: *a\n", "holds itself"),
        ("a: " + "9" * 10_000, "f.yml is not YAML"),
        ("x" * (yaml_text.LONGEST + 1), "has 4000001 characters; at most 4000000"),
    ],
)
def test_other_texts_are_refused(text: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        documents(text, "f.yml")


def test_a_few_lines_cannot_stand_for_billions_of_values() -> None:
    """Neither as lists of lists nor as merge keys, and without walking through them."""
    lists = "a0: &a0 [1, 1]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 20))
    keys = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 30))
    for text in (lists, keys):
        with pytest.raises(InputError, match=r"it stands for [0-9]+ values, through aliases"):
            documents(text, "f.yml")
