"""Tiny models of many architectures through every step, and the committed table of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.architectures.catalogue import ARCHITECTURES
from experiments.architectures.page import page
from experiments.architectures.steps import STEPS
from experiments.architectures.study import study
from experiments.architectures.trial import attempt

RESULTS = Path(__file__).parents[2] / "results" / "architectures"
# One of each way to be loaded and scored; a slow test makes the whole table anew.
FEW = ("t5", "qwen3_next")


@pytest.mark.parametrize("name", FEW)
def test_every_step(tmp_path: Path, name: str) -> None:
    """Merge, live model, search, export; what transformers loads from it answers as the candidate to the last bit."""
    steps = attempt(name, tmp_path)["steps"]
    assert [found["text"] for found in steps.values() if not found["ok"]] == []
    assert tuple(steps) == STEPS


def test_the_table_is_of_the_whole_catalogue() -> None:
    data = json.loads((RESULTS / "architectures.json").read_text(encoding="utf-8"))
    assert list(data["rows"]) == list(ARCHITECTURES)
    assert (RESULTS / "architectures.md").read_text(encoding="utf-8") == page(data)


def test_a_step_that_fails_is_a_row(tmp_path: Path) -> None:
    """And keeps those from being tried that need what it makes; the reason is in the page."""
    (tmp_path / "A").write_text("in the way of an expert\n")
    row = attempt("llama", tmp_path)
    assert list(row["steps"]) == ["built"]
    data = json.loads((RESULTS / "architectures.json").read_text(encoding="utf-8"))
    text = page({**data, "rows": {"llama": row}})
    assert "0 of 1 go through all steps" in text
    assert "- **Llama**: built: FileExistsError" in text


@pytest.mark.slow
def test_the_whole_table(tmp_path: Path) -> None:
    """The same architectures work as in the committed table, and a repeated study tries none again."""
    known = json.loads((RESULTS / "architectures.json").read_text(encoding="utf-8"))["rows"]
    rows = study(tmp_path / "table.json", list(ARCHITECTURES))["rows"]
    works = {name: [step for step, found in row["steps"].items() if found["ok"]] for name, row in rows.items()}
    assert works == {n: [step for step, found in row["steps"].items() if found["ok"]] for n, row in known.items()}
    assert study(tmp_path / "table.json", list(ARCHITECTURES))["rows"] == rows
