"""What counts as another answer of an exported model: other texts are counted, other kinds are refused."""

from __future__ import annotations

import math
from dataclasses import replace

from evomerge.evaluation import Response
from evomerge.run.model_folder.verification import largest_difference

WRITTEN = Response("told", "a", {"em": 1.0}, texts=("one",))
CHOSEN = Response("quiz", "b", {"acc": 1.0}, logprobs=(-1.0, -2.0), greedy=(True, False))


def test_texts_are_counted_beside_the_difference() -> None:
    assert largest_difference([WRITTEN, CHOSEN], [WRITTEN, CHOSEN]) == (0.0, 0)
    other = [replace(WRITTEN, texts=("two",)), replace(CHOSEN, logprobs=(-1.0, -2.5))]
    assert largest_difference([WRITTEN, CHOSEN], other) == (0.5, 1)


def test_answers_of_another_kind_are_no_answers() -> None:
    for other in (replace(WRITTEN, texts=()), replace(WRITTEN, item="c")):
        assert math.isinf(largest_difference([WRITTEN], [other])[0])
