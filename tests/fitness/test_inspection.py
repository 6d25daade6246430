"""Tasks can be looked at without a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evomerge.evaluation import SPLITS
from evomerge.fitness import (
    FitnessSettings,
    inspect_tasks,
)
from tests.fitness.conftest import ALL, build


def test_inspection_needs_no_model(tasks: Path, tokenizer: Any, model: Any) -> None:
    settings = FitnessSettings(ALL, (str(tasks),), items_per_task=5)
    found = inspect_tasks(settings)
    suite = build(tasks, tokenizer, model, items_per_task=5)
    assert found.metrics == {key: info.higher_is_better for key, info in suite.metrics.items()}
    by_name = {listing.task: listing for listing in found.tasks}
    assert list(by_name) == ["choice", "letters", "cloze", "prose", "echo"]
    letters = by_name["letters"]
    assert (letters.output_type, letters.total, letters.num_fewshot) == ("multiple_choice", 40, 0)
    assert letters.items == {split: len(suite.items[split]["letters"]) for split in SPLITS}
    assert letters.sample["options"] == ["A", "B", "C", "D"]
