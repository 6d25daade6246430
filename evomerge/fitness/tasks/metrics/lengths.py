"""Lengths of generated answers as metrics: what a reasoning model's accuracy costs.

Every task that generates text has them beside its own metrics, so that they can be objectives: Evo-L2S searches
accuracy against length (https://arxiv.org/abs/2604.06465). A task that gives a metric of the same name keeps its own.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from evomerge.evaluation import LENGTH_METRICS, TOKENS, TRUNCATED
from evomerge.fitness.inference.requests import Generated


def length_metrics(answers: Sequence[Generated], own: Collection[str]) -> dict[str, float]:
    """``tokens`` and ``truncated`` of one item; less of both is better.

    ``tokens`` counts all tokens that were generated: thinking, end token and the tokens of the stop text included, as
    each costs the same time. ``truncated`` is 1 where the limit of tokens ended the answer, else 0. Over items both are
    means.

    Args:
        answers: What was generated for the item; empty tokens stand for answers that nobody generated.
        own: Keys of the metrics that the task gives itself.
    """
    if not any(answer.ids for answer in answers):
        return {}
    found = {
        TOKENS: float(sum(len(answer.ids) for answer in answers)),
        TRUNCATED: float(any(answer.truncated for answer in answers)),
    }
    return {name: found[name] for name in missing(own)}


def missing(own: Collection[str]) -> list[str]:
    """Those of these metrics that a task does not give itself, by the keys of its own: ``NAME`` or ``NAME,FILTER``."""
    given = {key.split(",")[0] for key in own}
    return [name for name in LENGTH_METRICS if name not in given]
