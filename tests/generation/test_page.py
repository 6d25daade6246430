"""Drafts as the generation benchmark keeps them, and its pages, from figures that are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from evomerge.evaluation import DRAFTS_KEPT
from experiments import json_lines
from experiments.generation import page
from experiments.generation.long import RESULTS, spent
from experiments.generation.long import page as long_page
from experiments.generation.population import drafts_of

MACHINE = {
    "cpu": "a processor",
    "device": "cpu",
    "date": "2026-01-01",
    "versions": {"torch": "2", "transformers": "5", "lm-eval": "0"},
}


def line(after: int, candidate: int, **cpu: float) -> dict[str, Any]:
    ways = {
        way: {"seconds": 99.0, "cpu": spent, "passes": 20, "tokens": 300, "differ": 0.5 if way == "off" else 0.0}
        for way, spent in cpu.items()
    }
    found = {"task": "worked", "dtype": "float32", "population": "cloud", "after": after, "candidate": candidate}
    return {**found, "items": 2, "least_tokens": 200, "ways": ways, "machine": MACHINE}


def test_drafts_are_the_last_answers_the_oldest_first() -> None:
    assert drafts_of([{"a": [1], "b": [2]}, {"a": [3]}, {"a": [1]}]) == {"a": ((1,), (3,), (1,)), "b": ((2,),)}
    many = drafts_of([{"a": [number]} for number in range(DRAFTS_KEPT + 2)])
    assert many == {"a": tuple((number,) for number in range(2, DRAFTS_KEPT + 2))}


def test_the_page_tells_ratios_of_processor_seconds_and_which_aims_are_met(tmp_path: Path) -> None:
    figures = tmp_path / "figures.jsonl"
    for candidate, drafts in ((10, 1.0), (11, 2.0)):
        json_lines.append(figures, line(10, candidate, stock=8.0, off=4.0, none=3.0, drafts=drafts))
    json_lines.append(figures, line(1, 1, stock=8.0, off=4.0, none=4.5, drafts=5.0, continuous=9.0))
    page.write(figures)
    text = (tmp_path / "generation.md").read_text(encoding="utf-8")
    rows = [row.split(" | ") for row in text.splitlines() if row.startswith("| worked answers, 5-shot")]
    assert [row[1] for row in rows] == ["1", "10", "8.00 / 4.00 / 4.50 / 9.00"]  # the last: continuous batching
    once, ten, _ = rows
    assert (once[2], ten[2]) == ("1", "2")  # candidates
    assert once[5:10] == ["8.00 / 4.00 / 4.50 / 5.00", "1.50", "1.60", "0.80", "0.90"]
    assert ten[7].startswith("5.66 [")  # the geometric mean of 8 and 4
    assert ten[10] == "50% / 0% / 0% |"
    assert "at least 5 times as fast as stock: 5.66, met" in text
    assert "at most 1.5 times the least: 1.50, met" in text
    assert "0.80 times as fast at worst (worked answers, 5-shot after 1), missed" in text


def test_seconds_of_a_search_are_those_of_all_its_starts() -> None:
    told = [(1.0, 10.0, 15.0), (1.0, 30.0, 50.0), (2.0, 4.0, 5.0)]
    assert spent([{"begun": begun, "wall": wall, "cpu": cpu} for begun, wall, cpu in told]) == {
        "cpu": 55.0,
        "wall": 34.0,
    }


def test_the_page_of_the_long_search_is_that_of_its_figures() -> None:
    figures = json.loads((RESULTS / "long.json").read_text(encoding="utf-8"))
    assert long_page(figures) == (RESULTS / "long.md").read_text(encoding="utf-8")
