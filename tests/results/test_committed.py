"""What is committed under results/ is what the project makes of it today."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from evomerge import report
from evomerge.store import RunStore

RESULTS = Path(__file__).parents[2] / "results"
RUNS = sorted(path.parent for path in RESULTS.rglob("manifest.json"))


def test_the_runs_of_the_real_study_are_there() -> None:
    assert {path.relative_to(RESULTS).as_posix() for path in RUNS} >= {"smollm2/single", "smollm2/front"}
    assert not list(RESULTS.rglob("*.safetensors"))


@pytest.mark.parametrize("run", RUNS, ids=lambda path: path.name)
def test_the_report_of_a_committed_run_is_reproduced(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / run.name)
    made = report.write(tmp_path / run.name)
    for path in made:
        if path.suffix != ".png":  # pixels depend on the fonts of a machine
            assert path.read_bytes() == (run / path.name).read_bytes(), path.name


@pytest.mark.parametrize("run", RUNS, ids=lambda path: path.name)
def test_committed_runs_are_finished_and_name_no_folder_of_a_machine(run: Path) -> None:
    store = RunStore.read(run)
    assert store.read_json("status.json")["finished"] is True
    sources = [model["source"] for model in [*store.manifest["models"], store.manifest["base"]]]
    assert not [source for source in sources if Path(source).is_absolute()]
    assert all(store.responses(e) for e in store.evaluations() if e.error is None)


def test_every_front_of_the_example_study_beats_the_best_expert() -> None:
    summary = json.loads((RESULTS / "example" / "summary.json").read_text())
    assert len(summary["seeds"]) >= 3
    for found in summary["seeds"].values():
        for label, chosen in found["best_by_search_score"].items():
            assert chosen["difference_to_best_expert"]["low"] > 0, label
