"""Well-known benchmarks are recognised by name."""

from __future__ import annotations

import pytest

from evomerge.fitness.tasks.checks.contamination import warning


@pytest.mark.parametrize(
    ("task", "dataset", "known"),
    [
        ("gsm8k", "openai/gsm8k", True),
        ("arc_easy", None, True),
        ("archery", None, False),
        (None, "allenai/ai2_arc", True),
        (None, "json", False),
        ("mmlu_anatomy", "cais/mmlu", True),
    ],
)
def test_well_known_names(task: str | None, dataset: str | None, known: bool) -> None:
    assert (warning(task, dataset, "test") is not None) is known
