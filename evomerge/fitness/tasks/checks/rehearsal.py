"""Judges made-up answers of every item before a model is asked, so that judging cannot fail on the first candidate."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from evomerge.evaluation import Response
from evomerge.fitness.inference.requests import Answer, Generated, Likelihood
from evomerge.fitness.tasks.checks.fields import ANY_ERROR, first_line
from evomerge.fitness.tasks.checks.findings import Case, Findings, shown
from evomerge.fitness.tasks.checks.unsolved import unsolved
from evomerge.fitness.tasks.items import Item

# Some tasks judge with a computer algebra system; what was not reached in this time is judged with candidates.
_SECONDS, _PORTION = 20.0, 256
# Running an answer takes much longer than comparing it.
_PORTION_RUN, _LIKELY_RUN = 32, 2
# Texts that models give: none at all, and one that is neither a number nor a word.
_LIKELY = ("", "?")

Judge = Callable[[Mapping[str, Sequence[Answer]]], list[Response]]
Aggregate = Callable[[Sequence[Response]], dict[str, float]]
Forms = Callable[[Item], Sequence[str]]


def rehearse(
    name: str, items: Mapping[str, Item], judge: Judge, aggregate: Aggregate, forms: Forms | None = None
) -> tuple[list[str], list[str]]:
    """Judges two made-up answers of each item, of which a task has to accept one, and aggregates what came of them.

    Args:
        name: Of the task.
        items: Its items by id.
        judge: Judges answers of items.
        aggregate: Makes metrics of judged answers.
        forms: Where answers are programs: texts of which one passes, if the item is sound.

    Returns:
        What failed, by item and by metric; and texts that a model may well generate and the task cannot judge.
    """
    ids, judged, start = list(items), list[Response](), 0
    end, portion = time.monotonic() + _SECONDS, _PORTION if forms is None else _PORTION_RUN
    try:
        for start in range(0, len(ids), portion):
            judged += judge({item: right_answers(items[item], forms) for item in ids[start : start + portion]})
            if time.monotonic() > end:
                break
        totals = aggregate(judged)
    except ANY_ERROR:  # code of the task may not like the made-up answers of some item, or of all
        if problems := _failures(name, items, judge, aggregate, start):
            return problems, []
        totals, judged = {}, []
    if judged and not any(response.metrics for response in judged):
        return [f"task {name!r}: judging gives no metric; let its code return some, or declare a metric_list"], []
    endless = [key for key, total in totals.items() if not math.isfinite(total)]
    warnings = [f"task {name!r}: metric {key!r} is not a finite number where every answer is right" for key in endless]
    generated = [item for item in items.values() if "generate_until" in item.kind]
    if forms is not None:
        warnings += unsolved(name, items, judged, judge, forms)
        generated = generated[:_LIKELY_RUN]
    return [], warnings + _fragile(name, generated[:_PORTION], judge, end)


def right_answers(item: Item, forms: Forms | None = None) -> list[Answer]:
    """Answers that are right where an answer is generated, and of falling likelihood elsewhere."""
    text = next(iter(forms(item)), item.target) if forms is not None else item.target
    return [
        Generated(text, False) if kind == "generate_until" else Likelihood(-1.0 - place / 8, place == 0)
        for place, kind in enumerate(item.kind)
    ]


def _other_answers(item: Item, text: str = "") -> list[Answer]:
    return [Generated(text, False) if kind == "generate_until" else Likelihood(-2.0, False) for kind in item.kind]


def _fragile(name: str, items: Sequence[Item], judge: Judge, end: float) -> list[str]:
    """Warnings about code of a task that raises on texts which models give, told by the first of its items."""
    found = Findings(name, len(items))
    for text in _LIKELY:
        for place, item in enumerate(items):
            if time.monotonic() > end:
                break
            try:
                judge({item.id: _other_answers(item, text)})
            except ANY_ERROR as error:
                case = Case(found, place, item.doc, question=item.description["question"])
                sentence = f"the code that judges {{items}} raises an error where the answer is {text!r}"
                remedy = "a model that answers so counts as failed; let the code score every text"
                case.tell(sentence, f"with {first_line(error)}", remedy=remedy, fatal=False)
    return found.warnings


def _failures(name: str, items: Mapping[str, Item], judge: Judge, aggregate: Aggregate, start: int) -> list[str]:
    """Judges item by item, from the place of those that failed together on, to find out which of them fail."""
    found = Findings(name, len(items))
    judged: list[list[Response]] = [[], []]
    end = time.monotonic() + _SECONDS
    places = list(enumerate(items.values()))
    for place, item in places[start:] + places[:start]:
        if time.monotonic() > end and (found.problems or place < start):
            break
        error: BaseException | None = None
        given = 0
        for responses, answers in zip(judged, (right_answers(item), _other_answers(item)), strict=True):
            try:
                responses += judge({item.id: answers})
                given += 1
            except ANY_ERROR as failure:
                error = error or failure
        if error is not None and not given:
            case = Case(found, place, item.doc, question=item.description["question"])
            detail = f"with the right answer {shown(item.target)}: {first_line(error)}"
            case.tell("answers to {items} cannot be judged", detail)
    return found.problems or _failed_metrics(name, next(iter(items.values())), judged, aggregate)


def _failed_metrics(name: str, first: Item, judged: Sequence[Sequence[Response]], aggregate: Aggregate) -> list[str]:
    """Metrics whose aggregation fails whatever was answered."""
    problems = []
    example = f"{shown(first.description['question'])} with the right answer {shown(first.target)}"
    for key in dict.fromkeys(key for responses in judged for response in responses for key in response.metrics):
        errors = []
        for responses in judged:
            values = [replace(one, metrics={key: one.metrics[key]}) for one in responses if key in one.metrics]
            try:
                aggregate(values)
            except ANY_ERROR as error:
                errors.append(first_line(error))
        if len(errors) == len(judged):
            problems.append(
                f"task {name!r}: metric {key!r} cannot be aggregated over items, the first is {example}: {errors[0]}"
            )
    return problems
