"""The study's table of seconds, from runs of both formats."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from statistics import median

import pytest

from experiments.smollm2 import study
from tests.report.run_folders import write_run
from tests.report.scenarios import TWO

RESULTS = Path(__file__).parents[2] / "results" / "smollm2"


@pytest.mark.parametrize("name", study.SEARCHES)
def test_the_committed_rows_follow_from_the_committed_runs(name: str) -> None:
    calls = [json.loads(line) for line in (RESULTS / "calls.jsonl").read_text(encoding="utf-8").splitlines()]
    row = study.seconds_row(name, RESULTS / name, calls)
    assert row in (RESULTS / "seconds.md").read_text(encoding="utf-8").splitlines()


def test_a_run_of_today_has_a_row(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", replace(TWO, candidates=6, test_items=20, failures={}))
    lines = (folder / "records" / "main.jsonl").read_text(encoding="utf-8").splitlines()
    done = [line["provenance"]["seconds"] for line in map(json.loads, lines) if line["evaluation"]["split"] == "search"]
    cells = study.seconds_row("front", folder, [{"search": "front", "seconds": 300.0, "evaluations": 1}]).split(" | ")
    assert cells[:3] == ["| front", str(len(done)), str(len(TWO.tasks) * TWO.search_items)]
    assert cells[3:5] == [f"{median(seconds[part] for seconds in done):.2f}" for part in ("merge", "score")]
    assert len(study.evaluations(folder)) == len(lines)
    assert study.evaluations(tmp_path / "none") == []
