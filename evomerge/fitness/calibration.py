"""Calibration texts of a suite, and the texts that none of them may hold.

Methods that look at data are given the items that a search may look at: prompts of the search split with their right
answers. An item of the selection or test split among a user's own texts would make the scores on that split worthless.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evomerge.fitness.suite import TaskSuite
from evomerge.fitness.tasks.benchmark import Benchmark
from evomerge.fitness.tasks.checks.fields import ANY_ERROR
from evomerge.fitness.tasks.checks.findings import shown
from evomerge.fitness.tasks.items import Item

_HELD_OUT = ("selection", "test")
# Characters of a question that is sought inside of other texts; shorter ones stand in texts by chance.
_SENTENCE = 32
_SHOWN = 5


def gold_texts(suite: TaskSuite, limit: int | None = None) -> list[dict[str, str]]:
    """Prompts of the search split with their right answers, task after task in turn.

    Args:
        suite: The tasks.
        limit: Most texts; None takes all.

    Returns:
        Mappings with ``prompt`` and ``answer``, or with ``text`` where a task scores whole texts. Items without a right
        answer have none.
    """
    by_task = []
    for name, ids in suite.items["search"].items():
        benchmark = suite.benchmarks[name]
        found = (_gold(benchmark, benchmark.items[item]) for item in ids)
        by_task.append([text for text in found if text is not None])
    turns = itertools.chain.from_iterable(itertools.zip_longest(*by_task))
    return list(itertools.islice((text for text in turns if text is not None), limit))


def _gold(benchmark: Benchmark, item: Item) -> dict[str, str] | None:
    kind = item.kind[0]
    if kind == "loglikelihood_rolling":
        return {"text": str(item.arguments[0][0])}
    if item.options:
        if not item.gold:
            return None
        prompt, answer = item.arguments[item.gold[0]][:2]
    elif kind == "loglikelihood":
        prompt, answer = item.arguments[0][:2]
    else:
        delimiter = benchmark.task.get_config("target_delimiter")
        prompt, answer = item.arguments[0][0], f"{' ' if delimiter is None else delimiter}{item.target}"
    return {"prompt": str(prompt), "answer": str(answer)} if str(answer).strip() else None


def held_out_problems(suite: TaskSuite, texts: Iterable[tuple[str, Sequence[str]]]) -> list[str]:
    """Calibration texts that hold an item of the selection or the test split, one sentence each.

    A text holds an item if its prompt is the item's question or the item's whole prompt, whatever the blanks and
    capitals; or if the item's question, being a sentence, stands anywhere in it.

    Args:
        suite: The tasks.
        texts: Name of each text, such as its file and line, and its parts: prompt and answer, or the text alone.
    """
    questions = _questions(suite)
    sentences = [question for question in questions if len(question) >= _SENTENCE]
    problems = []
    for name, parts in texts:
        asked = _normal(parts[0])
        whole = _normal(" ".join(parts))
        found = asked if asked in questions else next((one for one in sentences if one in whole), None)
        if found is not None:
            split, task, item, question = questions[found]
            problems.append(
                f"{name}: it holds item {item} of task {task!r}, {shown(question)}, which is in the {split} split; "
                "take it out, or scores on that split mean nothing"
            )
    more = len(problems) - _SHOWN
    return problems if more <= 0 else [*problems[:_SHOWN], f"{more} more calibration texts hold such items"]


def _questions(suite: TaskSuite) -> Mapping[str, tuple[str, str, str, str]]:
    """Normalised question to split, task and id of an item that is held out, and the question as it is asked."""
    found: dict[str, tuple[str, str, str, str]] = {}
    for split in _HELD_OUT:
        for task, ids in suite.items[split].items():
            for item in ids:
                for question in _asked(suite.benchmarks[task], item):
                    found.setdefault(_normal(question), (split, task, item, question))
    # What every item of a task is asked tells none apart.
    for task, ids in suite.items["search"].items():
        for item in ids:
            for question in _asked(suite.benchmarks[task], item):
                found.pop(_normal(question), None)
    found.pop("", None)
    return found


def _asked(benchmark: Benchmark, item: str) -> tuple[str, str]:
    """The question of an item with examples and template, and without."""
    found = benchmark.items[item]
    return str(found.arguments[0][0]), _bare(benchmark, found.doc)


def _bare(benchmark: Benchmark, doc: Any) -> str:
    """The question of a document alone, where it is a text."""
    try:
        question = benchmark.task.doc_to_text(doc)
    except ANY_ERROR:  # code of the task
        return ""
    return question if isinstance(question, str) else ""


def _normal(text: str) -> str:
    return " ".join(text.split()).casefold()
