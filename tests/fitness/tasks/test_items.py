"""Items: prompts, right answers and content, as lm-eval builds them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evomerge.fitness import FitnessSettings
from evomerge.fitness.tasks.build import Opened, open_tasks
from evomerge.fitness.tasks.items import Item


@pytest.fixture(scope="module")
def opened(tasks: Path) -> Opened:
    names = ("choice", "letters", "cloze", "prose", "echo", "gap", "either")
    return open_tasks(FitnessSettings(names, (str(tasks),)), None)


def first(opened: Opened, task: str) -> Item:
    return next(iter(opened.benchmarks[task].items.values()))


def test_right_answers_are_options_or_texts(opened: Opened) -> None:
    choice, gap, either = (first(opened, name) for name in ("choice", "gap", "either"))
    gold = choice.doc["gold"]
    assert (choice.options, choice.gold, choice.target) == (
        tuple(choice.doc["options"]),
        (gold,),
        choice.doc["options"][gold],
    )
    # Where options are questions, the question names the right one.
    assert gap.gold == (gap.doc["gold"],)
    assert either.gold == (gold, (gold + 1) % 4)
    assert either.target == " | ".join(either.options[place] for place in either.gold)
    cloze, echo = first(opened, "cloze"), first(opened, "echo")
    assert (cloze.options, cloze.gold, cloze.target) == ((), (), f" {cloze.doc['word']}")
    assert echo.target == echo.doc["letter"]


@pytest.mark.parametrize(
    ("task", "kinds"),
    [
        ("choice", ("loglikelihood",) * 8),  # with mutual information, each option is asked alone too
        ("letters", ("loglikelihood",) * 4),
        ("cloze", ("loglikelihood",)),
        ("prose", ("loglikelihood_rolling",)),
        ("echo", ("generate_until",)),
    ],
)
def test_requests_of_each_kind(opened: Opened, task: str, kinds: tuple[str, ...]) -> None:
    item = first(opened, task)
    assert item.kind == kinds
    assert len(item.arguments) == len(kinds)
    assert item.description["question"] == str(item.arguments[0][0])


def test_content_is_what_a_model_is_shown_and_judged_by(opened: Opened) -> None:
    item = first(opened, "letters")
    assert replace(item, id="another", doc={}).content == item.content
    others = [
        replace(item, arguments=item.arguments[::-1]),
        replace(item, options=("B", "A", "C", "D")),
        replace(item, gold=((item.gold[0] + 1) % 4,)),
        replace(item, target="E"),
    ]
    assert len({item.content, *(other.content for other in others)}) == 5


def test_tasks_keep_no_copies_of_prompts(opened: Opened) -> None:
    assert all(benchmark.task._instances == [] for benchmark in opened.benchmarks.values())
