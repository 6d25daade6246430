"""Searches whose candidates have fewer layers than the models, and the numbers that say which may go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import transformers

import evomerge
from evomerge.cli.main import main
from evomerge.recipe import Recipe
from tests.building import perturbed, tiny_llama
from tests.run.family import Family, write_task


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Family:
    """Models of four layers."""
    folder = tmp_path_factory.mktemp("deep")
    tiny_llama(folder / "base", 0, layers=4)
    for seed, name in enumerate(("one", "two"), start=1):
        perturbed(folder / "base", folder / name, seed, 0.1)
    (folder / "tasks").mkdir()
    write_task(folder / "tasks", "first", 10)
    return Family(folder)


WORDS = {
    "tasks": "[first]", "evaluations": 5, "searcher": "ga", "searcher__population": 5, "items_per_task": 4,
    "test_items_per_task": 4, "model__dtype": "float32",
}  # fmt: skip


def depths(run: Path) -> list[int]:
    recipes = [e.recipe for e in evomerge.Run(run).evaluations("search") if e.name is None and e.error is None]
    return [len(Recipe.from_json(recipe).layers) for recipe in recipes]


def test_one_model_gets_shorter(deep: Family, tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    model = f"[{deep.folder / 'one'}]"
    shape = {"genome__layers": "merged", "genome__fewer": "[1,2]", "genome__influence": "[1,0.1,0.2,0.5]"}
    assert deep.search(run, models=model, base=None, method="linear", **shape, **WORDS) == 0
    assert set(depths(run)) == {2, 3}
    assert main(["export", f"run={run}", "member=knee", f"out={out}"]) == 0
    assert transformers.AutoModelForCausalLM.from_pretrained(out).config.num_hidden_layers in (2, 3)


@pytest.mark.slow
def test_a_merge_gets_shorter(deep: Family, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shape = {"genome__layers": "removed", "genome__fewer": "[0,1]", "genome__depth": "model"}
    assert deep.search(run, **shape, **WORDS) == 0
    assert set(depths(run)) == {0, 3}  # all layers are no layers of its own


def test_what_cannot_get_shorter_is_refused(
    deep: Family, tmp_path: Path, problems_of: Callable[[Sequence[str]], str]
) -> None:
    words = deep.words(tmp_path / "run", **{**WORDS, "genome__layers": "merged", "genome__fewer": "[1,4]"})
    assert "genome.fewer lets 4 of 4 layers go; expected at most 3" in problems_of(["search", *words])
    soup = {"searcher": "greedy_soup", "searcher__population": None, "method": "linear", "genome__layers": "merged"}
    words = deep.words(tmp_path / "run", **{**WORDS, **soup})
    assert "genome.layers: searcher greedy_soup proposes models alone" in problems_of(["search", *words])
