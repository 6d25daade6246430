"""No named study rots: each runs for one batch, the ones about larger models with tiny models in their place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evomerge.cli.main import main
from evomerge.config import groups
from tests.building import perturbed
from tests.run.family import ROOT, Family

EXPERIMENTS = groups.groups()["experiment"]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_one_batch_of_every_experiment(
    family: Family, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    words = [f"experiment={name}", f"run_dir={tmp_path / 'run'}", "evaluations=6", "items_per_task=4"]
    words += ["test_items_per_task=4", "confirm.finalists=1", "model.threads=1", "progress=none"]
    if name != "example":
        # Their own models are made by scripts that take too long for a test; tasks and settings are what is tried.
        experts = [
            family.folder / "one",
            family.folder / "two",
            perturbed(family.folder / "base", tmp_path / "three", 3),
        ]
        words += [
            f"models=[{','.join(map(str, experts))}]",
            f"base={family.folder / 'base'}",
            "genome.control_points=2",
        ]
    assert main(["search", *words]) == 0
    assert json.loads((tmp_path / "run" / "status.json").read_text())["evaluations"] == 6
    assert (tmp_path / "run" / "report.html").exists()
