"""Answers side by side: the same items, the base, the best experts and every member."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evomerge.evaluation import Evaluation, Response
from evomerge.report.members import Member
from evomerge.report.results import Results

ITEMS_PER_TASK = 24
_MAX_BYTES = 500_000
_QUESTION, _OPTION, _ANSWER = 1500, 300, 400  # characters shown


@dataclass(frozen=True)
class Judge:
    """How the answers to a task are judged.

    Attributes:
        metric: The metric of an objective.
        expert: That objective's best expert.
        right: Value of a right answer where all values are 0 or 1: 0 where less is better.
    """

    metric: str
    expert: str
    right: float


def samples(results: Results, members: Sequence[Member]) -> dict[str, Any]:
    """Chooses items and collects the answers to them.

    Items on which a member and the best expert differ come first, taken in turn from those where the member is better
    and those where the expert is: a sample that shows both sides, not the share of either (that is in ``counts``).

    Args:
        results: The run.
        members: The front.

    Raises:
        InputError: If the file of items is damaged.

    Returns:
        ``split``, ``items`` (task, question, options, gold), ``answers`` (model to one ``[answer, score]`` per item)
        and ``counts`` (task to ``metric``, ``expert``, the value ``right`` of a right answer, and ``members``: member
        to the numbers of right answers, ``[both, only member, only expert, neither]``, None where not all scores are
        0 or 1).
    """
    contents = results.described
    split = "test" if any(m.test_scores for m in members) else "search"
    models = _models(results, members, split)
    answers = {name: _by_item(results.responses(e)) for name, e in models.items() if e.error is None}
    shown = {member.id: answers[member.id] for member in members if member.id in answers}
    chosen: list[tuple[str, str]] = []
    counts: dict[str, Any] = {}
    for task, judge in _judges(results, split).items():
        theirs, metric = answers.get(judge.expert, {}), judge.metric
        scores = {
            name: {i: _number(r, metric) for i, r in given.items() if r.task == task} for name, given in shown.items()
        }
        reference = {i: _number(r, metric) for i, r in theirs.items() if r.task == task}
        chosen += [(item, metric) for item in _choose(scores, reference, judge.right) if item in contents]
        counts[task] = {
            "metric": metric,
            "expert": judge.expert,
            "right": judge.right,
            "members": {name: _table(given, reference, judge.right) for name, given in scores.items()},
        }
    return _fitted(contents, split, chosen, answers, counts)


def _models(results: Results, members: Sequence[Member], split: str) -> dict[str, Evaluation]:
    found = {name: results.baseline(name, split) for name in results.names}
    found |= {member.id: member.test if split == "test" else member.search for member in members}
    return {name: evaluation for name, evaluation in found.items() if evaluation is not None}


def _judges(results: Results, split: str) -> dict[str, Judge]:
    """How each task of an objective is judged; for a task group, each of its tasks."""
    found: dict[str, Judge] = {}
    for objective in results.objectives:
        expert = results.best_expert(objective.label, split) or "base"
        card = results.baseline_scorecard(expert, split)
        tasks = [stratum.task for stratum in card.strata[objective.label]] if card is not None else []
        named = {key.rsplit(".", 1)[0] for _, key in objective.terms}
        for weight, key in objective.terms:
            owner, metric = key.rsplit(".", 1)
            more_is_better = objective.higher_is_better == (weight > 0)
            plain = owner in tasks or not tasks
            for task in [owner] if plain else [task for task in tasks if task not in named]:
                found.setdefault(task, Judge(metric, expert, float(more_is_better)))
    return found


def _by_item(responses: Sequence[Response]) -> dict[str, Response]:
    return {response.item: response for response in responses}


def _number(response: Response, metric: str) -> float | None:
    value = response.metrics.get(metric)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _choose(
    scores: Mapping[str, Mapping[str, float | None]], reference: Mapping[str, float | None], right: float
) -> list[str]:
    """Items by the members' mean difference to the expert on them, better and worse in turn."""
    gaps: dict[str, list[float]] = {}
    for given in scores.values():
        for item, value in given.items():
            other = reference.get(item)
            if value is not None and other is not None:
                gaps.setdefault(item, []).append(value - other if right else other - value)
    mean = {item: float(np.mean(values)) for item, values in gaps.items()}
    up = sorted((item for item in mean if mean[item] > 0), key=lambda item: (-mean[item], item))
    down = sorted((item for item in mean if mean[item] < 0), key=lambda item: (mean[item], item))
    turns = [item for pair in zip(up, down, strict=False) for item in pair]
    rest = up[len(turns) // 2 :] + down[len(turns) // 2 :] + sorted(item for item in mean if mean[item] == 0)
    rest += sorted(item for item in reference if item not in mean)
    return (turns + rest)[:ITEMS_PER_TASK]


def _table(given: Mapping[str, float | None], reference: Mapping[str, float | None], right: float) -> list[int] | None:
    pairs = [(value, reference.get(item)) for item, value in given.items()]
    if not pairs or any(a not in (0.0, 1.0) or b not in (0.0, 1.0) for a, b in pairs):
        return None
    wrong = 1.0 - right
    return [pairs.count(wanted) for wanted in ((right, right), (right, wrong), (wrong, right), (wrong, wrong))]


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
                name: [shown_answer(given.get(item), contents[item], metric) for item, metric in kept]
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


def shown_answer(response: Response | None, item: Mapping[str, Any], metric: str) -> list[Any] | None:
    """A model's answer as the page shows it.

    Args:
        response: The response; None where there is none.
        item: The item as ``items.json`` holds it.
        metric: The metric that judges it.

    Returns:
        The answer and its score: an option's index; a text, and whether it was cut; or whether the greedy continuation
        was the right one, with its log-probability.
    """
    if response is None:
        return None
    score = _number(response, metric)
    if response.texts:
        return [_cut(response.texts[0], _ANSWER), score, bool(response.truncated)]
    options = item.get("options") or ()
    if len(options) > 1 and len(response.logprobs) >= len(options):
        return [_chosen_option(response.logprobs, options, metric), score]
    if response.logprobs:
        return [
            {"greedy": bool(response.greedy and response.greedy[0]), "logprob": round(response.logprobs[0], 2)},
            score,
        ]
    return [None, score]


def _chosen_option(logprobs: Sequence[float], options: Sequence[Any], metric: str) -> int:
    """The option that counts as chosen under a metric, by lm-eval's rules: the likeliest, for each letter or byte."""
    values = np.asarray(logprobs[: len(options)], dtype=np.float64)
    name = metric.split(",")[0]
    if name in ("acc_norm", "acc_bytes"):
        texts = [str(option) if name == "acc_norm" else str(option).encode() for option in options]
        values = values / [max(1, len(text)) for text in texts]
    if name == "acc_mutual_info" and len(logprobs) == 2 * len(options):
        values = values - logprobs[len(options) :]
    return int(np.argmax(values))


def _cut(text: Any, length: int) -> str:
    if text is None:
        return ""
    words = text if isinstance(text, str) else json.dumps(text, ensure_ascii=False)
    return words if len(words) <= length else words[: length - 1] + "…"
