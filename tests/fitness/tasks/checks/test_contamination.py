"""Well-known benchmarks are recognised by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from evomerge.fitness.tasks.checks.contamination import warning
from tests.fitness.conftest import choice_rows, write_jsonl
from tests.fitness.tasks.declaring import SIMPLE, declare, inspect, simple


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


def test_well_known_benchmarks_are_pointed_out(folder: Path) -> None:
    # The user's own task over a public test set, here with its data beside it.
    public = SIMPLE.format(name="mine", data="rows.jsonl").replace("dataset_path: json", "dataset_path: ai2_arc")
    (folder / "ai2_arc").mkdir()
    write_jsonl(folder / "ai2_arc" / "rows.jsonl", choice_rows(30))
    public = public.replace("dataset_kwargs: {data_files: {test: rows.jsonl}}", "")
    declare(folder, "mine", public.replace("test_split: test", "test_split: train"))
    found = inspect(folder, "mine")
    assert "'mine' scores on the train split of a well-known benchmark (ai2_arc)" in found.warnings[0]
    # A name of the user's own that begins alike says nothing.
    simple(folder, "drop_words")
    assert not inspect(folder, "drop_words").warnings
