"""mergekit's own recipes give mergekit's tensors, and say the same after they were written and read again."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file

from evomerge.merging import Checkpoints, Merger
from evomerge.run.recipe_files import load
from evomerge.run.recipe_files.writing import as_mergekit
from tests.dialects.mergekit.plans import plan_of

GOLDEN = Path(__file__).parents[2] / "golden"
CASES = sorted([*(GOLDEN / "cases").iterdir(), *(GOLDEN / "stacks").iterdir()])


def test_there_are_cases() -> None:
    assert len(CASES) >= 28


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_recipes_of_mergekit(case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN)  # paths in a recipe are relative to the folder one stands in
    recipe = load(case / "recipe.yml")
    checkpoints = Checkpoints.open(recipe)
    merged = dict(Merger(checkpoints).stream(recipe))
    expected = load_file(case / "expected.safetensors")
    assert merged.keys() == expected.keys()
    for name, wanted in expected.items():
        got = merged[name].float()
        if recipe.out_dtype == "bfloat16":  # mergekit breaks ties of equal magnitudes by an unstable sort
            assert ((got - wanted.float()).abs() > wanted.float().abs() * 0.008 + 1e-8).float().mean() <= 0.15, name
        else:
            assert (got - wanted).norm() <= 1e-6 * wanted.norm() + 1e-9, name
            assert (got - wanted).abs().max() <= 1e-5 * wanted.abs().max() + 1e-9, name
    again = tmp_path / "again.yml"
    again.write_text(as_mergekit(recipe, checkpoints), encoding="utf-8")
    assert plan_of(load(again)) == plan_of(recipe)
