"""Recipes of other shapes than a search's, from a file to a folder that is asked questions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import transformers

import evomerge
from evomerge.cli.main import main
from evomerge.recipe import OutputLayer, Recipe
from tests.run.family import Family


@pytest.fixture(scope="module")
def plain(finished: Path) -> Recipe:
    """A candidate of a search: two experts and a base, known by their weights."""
    return Recipe.from_json(next(e for e in evomerge.Run(finished).evaluations("search") if e.name is None).recipe)


def shapes(plain: Recipe) -> dict[str, Recipe]:
    row = len(plain.groups.groups) - 1
    both = [OutputLayer(((0, number), (1, number)), base=number) for number in (0, 1)]
    one = OutputLayer(((0, 0), (0, 1)), base=0, row=row)
    return {
        "stacked": replace(plain, layers=(both[0], both[1], replace(both[1], row=row), replace(both[0], row=row - 1))),
        "one model": replace(plain, layers=(one,)),
        "two stages": replace(plain, sources=(plain, plain.sources[1])),
    }


@pytest.mark.parametrize(("shape", "layers"), [("stacked", 4), ("one model", 1), ("two stages", 2)])
def test_merge_and_evaluate(
    family: Family, plain: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str], shape: str, layers: int
) -> None:
    recipe = shapes(plain)[shape]
    recipe.save(tmp_path / "recipe.json")
    assert main(["merge", f"recipe={tmp_path / 'recipe.json'}", f"out={tmp_path / 'out'}"]) == 0
    assert transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out").config.num_hidden_layers == layers
    assert Recipe.load(tmp_path / "out" / "recipe.json") == recipe
    card = (tmp_path / "out" / "README.md").read_text()
    assert "Method `task_arithmetic`" in card
    capsys.readouterr()
    words = ["tasks=[first]", f"task_path={family.folder / 'tasks'}", "items_per_task=12", "model.threads=1"]
    assert main(["evaluate", f"model={tmp_path / 'out'}", *words]) == 0
    assert "first.acc" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("named", "problem"),
    [
        ({"post": [{"name": "low_rank"}]}, "there is no step after the merge 'low_rank'"),
        ({"statistics": ["5a" * 32]}, "statistics names 1"),
    ],
)
def test_what_is_not_built_is_refused_by_name(
    plain: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str], named: dict[str, Any], problem: str
) -> None:
    (tmp_path / "recipe.json").write_text(json.dumps(plain.to_json() | named))
    assert main(["merge", f"recipe={tmp_path / 'recipe.json'}", f"out={tmp_path / 'out'}"]) == 2
    assert problem in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.json"]
