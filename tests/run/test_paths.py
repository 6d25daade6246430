"""Searches for a path through the layers of several models, from the command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import transformers

import evomerge
from evomerge.cli.main import main
from evomerge.recipe import Recipe
from tests.building import tiny
from tests.run.family import Family, records
from tests.run.test_shorter import WORDS, deep

__all__ = ["deep"]  # a fixture


def candidates(run: Path) -> list[Recipe]:
    found = [e for e in evomerge.Run(run).evaluations("search") if e.name is None]
    assert all(e.error is None for e in found)
    return [Recipe.from_json(e.recipe) for e in found]


def searched(run: Path) -> list[tuple[str, object]]:
    return [(record["digest"], record["metrics"]) for record in records(run) if record["split"] == "search"]


PATH = {"genome__layers": "path", "base": None, "method": "linear"}


def test_a_path_is_searched_and_exported(deep: Family, tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    assert deep.search(run, **{**WORDS, **PATH}) == 0
    recipes = candidates(run)
    assert {len(recipe.layers) for recipe in recipes} <= {2, 3, 4, 5, 6}
    assert len({layer.inputs for recipe in recipes for layer in recipe.layers}) > 4
    assert main(["export", f"run={run}", "member=knee", f"out={out}"]) == 0
    assert transformers.AutoModelForCausalLM.from_pretrained(out).config.num_hidden_layers <= 6


@pytest.mark.slow
def test_a_path_is_gone_on_with_and_searched_on(deep: Family, tmp_path: Path) -> None:
    """What is exported is a model like others, so a merge that was searched before may be one of a path's."""
    run, out, on = tmp_path / "run", tmp_path / "out", tmp_path / "on"
    assert deep.search(run, **{**WORDS, **PATH}) == 0
    began = searched(run)
    assert deep.search(run, **{**WORDS, **PATH, "evaluations": 7}) == 0
    assert searched(run)[: len(began)] == began  # going on is replay
    assert main(["export", f"run={run}", "member=knee", f"out={out}"]) == 0
    alone = {"models": f"[{out}]", "genome__jumps": 1, "evaluations": 3}
    assert deep.search(on, **{**WORDS, **PATH, **alone}) == 0


@pytest.mark.slow
def test_the_published_space_with_the_merge(deep: Family, tmp_path: Path) -> None:
    run, again = tmp_path / "run", tmp_path / "again"
    flow = {"genome__layers": "data_flow", "genome__through": "both", "genome__depth": "model", "evaluations": 8}
    assert deep.search(run, **{**WORDS, **flow}) == 0
    assert any(isinstance(source, Recipe) for recipe in candidates(run) for source in recipe.sources)
    assert main(["export", f"run={run}", "member=knee", f"out={tmp_path / 'out'}"]) == 0
    assert deep.search(again, **{**WORDS, **flow, "start_from": str(run)}) == 0


def test_what_has_no_path_is_refused(deep: Family, tmp_path: Path, problems_of: Callable[[Sequence[str]], str]) -> None:
    words = deep.words(tmp_path / "run", **{**WORDS, "genome__layers": "path", "genome__bounds": "{weight: [0, 1]}"})
    assert "genome.through=models takes layers as they are" in problems_of(["search", *words])
    tiny("olmo2", tmp_path / "normed", 0)
    alone = {**WORDS, **PATH, "genome__jumps": 1, "genome__longest": 3}
    words = deep.words(tmp_path / "run", **{**alone, "models": f"[{tmp_path / 'normed'}]"})
    found = problems_of(["search", *words])
    assert "genome.scales: the weights of a model of type 'olmo2' cannot do" in found
    assert "write genome.scales=none for paths without scales" in found
    tiny("qwen2_moe", tmp_path / "sparse", 0, decoder_sparse_step=2)  # every second layer is a mixture, by its number
    words = deep.words(tmp_path / "run", **{**alone, "models": f"[{tmp_path / 'sparse'}]"})
    found = problems_of(["search", *words])
    assert "genome.layers=path: layers of this model cannot stand elsewhere" in found
    assert "genome.longest=2" in found


def test_the_last_round_is_of_paths_through_what_came_of_the_first(deep: Family, tmp_path: Path) -> None:
    """The order of the paper in one run: the merge, then a path through the best of it and the experts."""
    run = tmp_path / "run"
    order = {"genome__layers": "path", "rounds": 2, "round__experts": "true", "round__elites": 1, "evaluations": 10}
    assert deep.search(run, **{**WORDS, **order, "method": "ties", "genome__depth": "model"}) == 0
    recipes = candidates(run)
    assert [bool(recipe.layers) for recipe in recipes] == [False] * 5 + [True] * 5
    through = [source for recipe in recipes[5:] for source in recipe.sources]
    merges = {source.digest for source in through if isinstance(source, Recipe)}
    assert len(merges) == 1
    assert merges <= {recipe.digest for recipe in recipes[:5]}
    assert not all(isinstance(source, Recipe) for source in through)
