"""A search by DAM: coefficients are fitted once, before the first candidate, and every recipe names them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evomerge.cli.main import main
from evomerge.recipe import Recipe


@pytest.fixture(scope="module")
def searched(workshop: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A finished run, and its words."""
    folder = tmp_path_factory.mktemp("dam")
    words = [f"models=[{workshop / 'A'},{workshop / 'B'}]", f"base={workshop / 'base'}", "method=dam"]
    words += [
        "tasks=[sums]",
        f"task_path=[{workshop / 'tasks'}]",
        "evaluations=4",
        "model.dtype=float32",
        "genome=model",
        "progress=none",
    ]
    words += [
        "model.dtype=float32",
        f"statistics.folder={folder / 'statistics'}",
        "statistics.sequences=4",
        f"run_dir={folder / 'run'}",
    ]
    assert main(["search", *words]) == 0
    return folder, words


def test_every_candidate_names_the_coefficients_of_every_model(searched: tuple[Path, list[str]]) -> None:
    folder, _ = searched
    kept = sorted(path.name for path in (folder / "statistics").iterdir())
    assert len(kept) == 2
    front = json.loads((folder / "run" / "front.json").read_text())
    assert front
    about = json.loads((folder / "statistics" / kept[0] / "statistic.json").read_text())
    assert about["complete"]
    assert about["key"]["statistic"] == "dam"
    assert len(about["key"]["models"]) == 2


def test_an_exported_member_is_what_was_scored(searched: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, _ = searched
    assert main(["export", f"run={folder / 'run'}", "member=knee", f"out={tmp_path / 'out'}"]) == 0
    recipe = Recipe.load(tmp_path / "out" / "recipe.json")
    assert sorted(recipe.statistics) == sorted(path.name for path in (folder / "statistics").iterdir())


def test_check_says_what_a_fit_takes(
    searched: tuple[Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, words = searched
    other = [
        f"statistics.folder={tmp_path / 'none'}" if word.startswith("statistics.folder") else word for word in words
    ]
    other = [word for word in other if not word.startswith("run_dir")]
    assert main(["check", *other]) == 0
    told = capsys.readouterr().out
    assert "statistic dam of A, B: 4 texts" in told
    assert "of memory, 1 pass, about " in told
