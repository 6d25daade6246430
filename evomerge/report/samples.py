"""Answers side by side: the same items, the base, the best experts and every member."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evomerge.evaluation import Evaluation, Response
from evomerge.report.members import Member
from evomerge.report.results import Results

ITEMS_PER_TASK = 24
_MAX_BYTES = 500_000
_QUESTION, _OPTION, _ANSWER = 1500, 300, 400  # characters shown


def samples(results: Results, members: Sequence[Member]) -> dict[str, Any]:
    """Chooses items and collects the answers to them.

    Items on which a member and the best expert differ come first, taken in turn from those where the member is better
    and those where the expert is: a sample that shows both sides, not the share of either (that is in ``counts``).

    Args:
        results: The run.
        members: The front.

    Returns:
        ``split``, ``items`` (task, question, options, gold), ``answers`` (model to one ``[answer, score]`` per item)
        and ``counts`` (task, then member to ``[both, only member, only expert, neither]`` where scores are 0 or 1).
    """
    contents = results.store.read_json("items.json") or {}
    split = "test" if any(m.test_scores for m in members) else "search"
    models = _models(results, members, split)
    answers = {name: _by_item(results.responses(e)) for name, e in models.items() if e.error is None}
    shown = {member.id: answers[member.id] for member in members if member.id in answers}
    chosen: list[tuple[str, str]] = []
    counts: dict[str, Any] = {}
    for task, (metric, expert) in _tasks(results, split).items():
        theirs = answers.get(expert, {})
        scores = {
            name: {i: _number(r, metric) for i, r in given.items() if r.task == task} for name, given in shown.items()
        }
        reference = {i: _number(r, metric) for i, r in theirs.items() if r.task == task}
        chosen += [(item, metric) for item in _choose(scores, reference) if item in contents]
        counts[task] = {
            "metric": metric,
            "expert": expert,
            "members": {name: _table(given, reference) for name, given in scores.items()},
        }
    return _fitted(contents, split, chosen, answers, counts)


def _models(results: Results, members: Sequence[Member], split: str) -> dict[str, Evaluation]:
    found = {name: results.baseline(name, split) for name in results.names}
    found |= {member.id: member.test if split == "test" else member.search for member in members}
    return {name: evaluation for name, evaluation in found.items() if evaluation is not None}


def _tasks(results: Results, split: str) -> dict[str, tuple[str, str]]:
    """Each task of an objective, with the metric that judges an answer and that objective's best expert."""
    tasks: dict[str, tuple[str, str]] = {}
    for objective in results.objectives:
        expert = results.best_expert(objective.label, split)
        for _, key in objective.terms:
            task, metric = key.rsplit(".", 1)
            tasks.setdefault(task, (metric, expert or "base"))
    return tasks


def _by_item(responses: Sequence[Response]) -> dict[str, Response]:
    return {response.item: response for response in responses}


def _number(response: Response, metric: str) -> float | None:
    value = response.metrics.get(metric)
    return float(value) if isinstance(value, int | float) else None


def _choose(scores: Mapping[str, Mapping[str, float | None]], reference: Mapping[str, float | None]) -> list[str]:
    """Items by the members' mean difference to the expert on them, better and worse in turn."""
    gaps: dict[str, list[float]] = {}
    for given in scores.values():
        for item, value in given.items():
            other = reference.get(item)
            if value is not None and other is not None:
                gaps.setdefault(item, []).append(value - other)
    mean = {item: float(np.mean(values)) for item, values in gaps.items()}
    up = sorted((item for item in mean if mean[item] > 0), key=lambda item: (-mean[item], item))
    down = sorted((item for item in mean if mean[item] < 0), key=lambda item: (mean[item], item))
    turns = [item for pair in zip(up, down, strict=False) for item in pair]
    rest = up[len(turns) // 2 :] + down[len(turns) // 2 :] + sorted(item for item in mean if mean[item] == 0)
    rest += sorted(item for item in reference if item not in mean)
    return (turns + rest)[:ITEMS_PER_TASK]


def _table(given: Mapping[str, float | None], reference: Mapping[str, float | None]) -> list[int] | None:
    pairs = [(value, reference.get(item)) for item, value in given.items()]
    if not pairs or any(a not in (0.0, 1.0) or b not in (0.0, 1.0) for a, b in pairs):
        return None
    return [sum(1 for pair in pairs if pair == wanted) for wanted in ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0))]


def _fitted(
    contents: Mapping[str, Any],
    split: str,
    chosen: list[tuple[str, str]],
    answers: Mapping[str, Mapping[str, Response]],
    counts: dict[str, Any],
) -> dict[str, Any]:
    """Drops items from the end of every task until the page stays small."""
    by_task: dict[str, list[tuple[str, str]]] = {}
    for item, metric in chosen:
        by_task.setdefault(contents[item]["task"], []).append((item, metric))
    keep = ITEMS_PER_TASK
    while True:
        kept = [pair for pairs in by_task.values() for pair in pairs[:keep]]
        data = {
            "split": split,
            "items": [_content(contents[item], item) for item, _ in kept],
            "answers": {
                name: [_answer(given.get(item), contents[item], metric) for item, metric in kept]
                for name, given in answers.items()
            },
            "counts": counts,
        }
        if keep <= 1 or len(json.dumps(data)) <= _MAX_BYTES:
            return data
        keep = keep * 2 // 3


def _content(item: Mapping[str, Any], identifier: str) -> dict[str, Any]:
    options, gold = list(item.get("options") or ()), item.get("gold")
    wanted = gold.split(" | ") if isinstance(gold, str) else [gold]
    right = [k for k, option in enumerate(options) if k in wanted or option == gold or option in wanted]
    return {
        "id": identifier,
        "task": item["task"],
        "question": _cut(item.get("question"), _QUESTION),
        "options": [_cut(option, _OPTION) for option in options],
        "right": right,
        "gold": "" if right else _cut(gold, _ANSWER),
    }


def _answer(response: Response | None, item: Mapping[str, Any], metric: str) -> list[Any] | None:
    """A model's answer: an option's index, a text, or whether the greedy continuation was the gold one."""
    if response is None:
        return None
    score = _number(response, metric)
    if response.texts:
        return [_cut(response.texts[0], _ANSWER), score, bool(response.truncated)]
    options = item.get("options") or ()
    if len(options) > 1 and len(response.logprobs) >= len(options):
        return [int(np.argmax(response.logprobs[: len(options)])), score]
    if response.logprobs:
        return [
            {"greedy": bool(response.greedy and response.greedy[0]), "logprob": round(response.logprobs[0], 2)},
            score,
        ]
    return [None, score]


def _cut(text: Any, length: int) -> str:
    if text is None:
        return ""
    words = text if isinstance(text, str) else json.dumps(text, ensure_ascii=False)
    return words if len(words) <= length else words[: length - 1] + "…"
