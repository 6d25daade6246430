"""How answers are judged is told by a digest that changes with the judging, and with nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from evomerge.fitness import FitnessSettings, TaskSuite
from tests.apart import Apart
from tests.fitness.conftest import choice_rows, write_jsonl

ROOT = Path(__file__).parents[3]
CODE = """
from tests.fitness.tasks.test_judging import open_suite
import json, sys
folders, checkpoint = sys.argv[2:], sys.argv[1]
print("JUDGING", json.dumps([dict(open_suite(folder, checkpoint).judging) for folder in folders]))
"""
JUDGED = """
task: judged
dataset_path: json
dataset_kwargs: {data_files: {test: choice.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{stem}}"
doc_to_choice: options
doc_to_target: gold
process_results: !function judge.judge
metric_list:
  - {metric: acc, aggregation: !function judge.average, higher_is_better: true}
"""
JUDGE = """
def average(values):
    return sum(values) / len(values)


class Judge:
    def __call__(self, doc, results):
        best = max(range(len(results)), key=lambda k: results[k][0])
        return {"acc": float(best == doc["gold"])}


judge = Judge()
"""


def open_suite(folder: str, checkpoint: str) -> TaskSuite:
    settings = FitnessSettings(("pair", "echo", "judged"), (folder,), max_length=64)
    return TaskSuite.build(settings, AutoTokenizer.from_pretrained(checkpoint))


def elsewhere(apart: Apart, checkpoint: Path, *folders: Path) -> list[Mapping[str, str]]:
    """What another process says, folder by folder."""
    printed = apart.start(CODE, str(checkpoint), *map(str, folders), cwd=ROOT).output()
    found: list[Mapping[str, str]] = json.loads(printed.rpartition("JUDGING")[2])
    return found


@pytest.fixture
def folder(tasks: Path, tmp_path: Path) -> Path:
    """A folder of tasks that a test may edit."""
    copied = tmp_path / "tasks"
    shutil.copytree(tasks, copied)
    write_jsonl(copied / "choice.jsonl", choice_rows(30))
    (copied / "judged.yaml").write_text(JUDGED, encoding="utf-8")
    (copied / "judge.py").write_text(JUDGE, encoding="utf-8")
    return copied


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "old", "new", "changed"),
    [
        ("echo.yaml", "([a-f])", "([a-e])", {"echo"}),
        ("echo.yaml", "ignore_case: true", "ignore_case: false", {"echo"}),
        ("judge.py", "results[k][0]", "-results[k][0]", {"judged"}),
        ("judged.yaml", "!function judge.average", "mean", {"judged"}),
        ("pair.yaml", "weight_by_size: true", "weight_by_size: false", {"pair"}),
    ],
)
def test_only_what_is_judged_otherwise_has_another_digest(
    folder: Path, checkpoint: Path, file: str, old: str, new: str, changed: set[str]
) -> None:
    before = open_suite(str(folder), str(checkpoint))
    assert set(before.judging) == {"choice", "letters", "echo", "judged", "pair"}
    edit(folder / file, old, new)
    after = open_suite(str(folder), str(checkpoint))
    assert {name for name, digest in after.judging.items() if digest != before.judging[name]} == changed
    assert after.items == before.items
    assert after.content == before.content


def test_other_processes_and_other_places_agree(apart: Apart, folder: Path, checkpoint: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "another" / "place")
    here: Any = dict(open_suite(str(folder), str(checkpoint)).judging)
    assert elsewhere(apart, checkpoint, folder, tmp_path / "another" / "place") == [here, here]
