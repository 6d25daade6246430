"""Run folders of the first release are shown as that release showed them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from evomerge.report import write

RUNS = Path(__file__).parents[1] / "fixtures" / "runs_format_1"


def assert_contains(found: Any, wanted: Any, place: str = "front") -> None:
    """Everything that was said then is said now; fields may have been added."""
    if isinstance(wanted, dict):
        for key, value in wanted.items():
            assert key in found, f"{place}.{key}"
            assert_contains(found[key], value, f"{place}.{key}")
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), place
        for n, value in enumerate(wanted):
            assert_contains(found[n], value, f"{place}[{n}]")
    elif isinstance(wanted, float):
        assert found == pytest.approx(wanted, rel=1e-12, abs=1e-15), place
    else:
        assert found == wanted, place


@pytest.mark.parametrize("name", ["two_objectives", "single_objective", "constraints_and_failures"])
def test_the_front_is_what_it_was(name: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(RUNS / name, tmp_path / name))
    wanted = json.loads((folder / "front.json").read_text(encoding="utf-8"))
    assert wanted.pop("format") == 1
    assert wanted.pop("headline").endswith(".")  # its words say more today
    write(folder)
    found = json.loads((folder / "front.json").read_text(encoding="utf-8"))
    assert_contains(found, wanted)
    assert all(member["selection"] is None for member in found["members"])


def test_costs_failures_and_answers_are_shown(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(RUNS / "constraints_and_failures", tmp_path / "run"))
    write(folder)
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert "candidates, search items | 8 | 96 |" in text
    assert "FunctionError: python.fussy (fussy.py:8) raised ValueError: the weights are too large" in text
    assert "4 of them failed" in text
    page = (folder / "report.html").read_text(encoding="utf-8")
    items = json.loads((folder / "items.json").read_text(encoding="utf-8"))
    shown = [item for item in items.values() if item["split"] == "test" and item["question"] in page]
    assert len(shown) == 8  # of the one task that is an objective
