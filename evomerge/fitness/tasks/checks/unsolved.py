"""Checks code problems by running their own solutions: one that fails its own tests can be solved by nobody."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from evomerge.evaluation import Response
from evomerge.fitness.inference.requests import Answer, Generated
from evomerge.fitness.tasks.checks.findings import Case, Findings
from evomerge.fitness.tasks.code.pass_at_k import observed
from evomerge.fitness.tasks.items import Item

_REMEDY = "no answer can be known to be right; correct the solution or the tests, or leave these items out"


def unsolved(
    name: str,
    items: Mapping[str, Item],
    judged: Sequence[Response],
    judge: Callable[[Mapping[str, Sequence[Answer]]], list[Response]],
    forms: Callable[[Item], Sequence[str]],
) -> list[str]:
    """Warnings about items whose own solution does not pass.

    Args:
        name: Of the task.
        items: Its items by id.
        judged: What came of the first form of each solution.
        judge: Judges answers of items.
        forms: Texts of an item's solution, of which one should pass; none where it is not known.
    """
    failed = {response.item for response in judged if not _passes(response)}
    found = Findings(name, len(items))
    for place, (key, item) in enumerate(items.items()):
        texts = forms(item) if key in failed else ()
        if not texts or any(_passes(*judge({key: _answers(item, text)})) for text in texts[1:]):
            continue
        with observed() as verdicts:
            judge({key: _answers(item, texts[0])})
        case = Case(found, place, item.doc, question=item.description["question"])
        told = " ".join(f"with {one.cause} ({one.detail})" for one in verdicts[:1])
        case.tell("the solution of {items} does not pass its own tests", told, remedy=_REMEDY, fatal=False)
    return found.warnings


def _answers(item: Item, text: str) -> list[Answer]:
    return [Generated(text, False) for _ in item.kind]


def _passes(response: Response) -> bool:
    return any(value == 1.0 for value in response.metrics.values())
