"""Searches for paths through models of unlike depth: an exported member is the candidate that was scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
import transformers

from evomerge.checkpoints import open_source
from evomerge.cli.main import main
from evomerge.merging import Checkpoints, LiveModel, Merger
from evomerge.recipe import Recipe
from evomerge.report.members import front_members
from evomerge.store import RunStore
from tests.building import tiny, tiny_llama
from tests.run.family import Family, write_task
from tests.run.test_paths import candidates
from tests.run.test_shorter import WORDS

UNLIKE = {"base": None, "method": "linear", "evaluations": 8, "searcher__population": 8}


@pytest.fixture(scope="module")
def unlike(tmp_path_factory: pytest.TempPathFactory) -> Family:
    """Models of three and of five layers."""
    folder = tmp_path_factory.mktemp("unlike")
    for seed, (name, layers) in enumerate({"one": 3, "two": 5, "base": 4}.items()):
        tiny_llama(folder / name, seed, layers=layers)
    (folder / "tasks").mkdir()
    write_task(folder / "tasks", "first", 10)
    return Family(folder)


@pytest.mark.parametrize("layers", ["path", "data_flow"])
def test_what_is_exported_is_the_candidate(layers: str, unlike: Family, tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    assert unlike.search(run, **{**WORDS, **UNLIKE, "genome__layers": layers}) == 0
    found = candidates(run)
    both = [recipe for recipe in found if len({layer.inputs[0][0] for layer in recipe.layers}) == 2]
    assert both, "some path goes through both models"
    assert len({len(recipe.layers) for recipe in found}) > 2
    member = next((own for own in front_members(RunStore.read(run))), None)
    assert member is not None
    assert main(["export", f"run={run}", f"member={member.id}", f"out={out}"]) == 0
    for place, recipe in enumerate([Recipe.from_json(dict(member.recipe)), both[0]]):
        if place:
            out = tmp_path / "merged"
            recipe.save(tmp_path / "recipe.json")
            assert main(["merge", f"recipe={tmp_path / 'recipe.json'}", f"out={out}"]) == 0
        checkpoints = Checkpoints.open(recipe)
        written, merger = open_source(out), Merger(checkpoints)
        streamed = dict(merger.stream(recipe))
        assert streamed.keys() == set(written.specs)
        assert all(torch.equal(written.tensor(name), tensor) for name, tensor in streamed.items())
        loaded = transformers.AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32).eval()
        assert loaded.config.num_hidden_layers == len(recipe.layers)
        live = LiveModel.load(checkpoints.reference.path)
        if not live.fits(merger.plan(recipe)):
            live = live.rebuilt(merger.plan(recipe))
        live.install(merger, recipe)
        tokens = torch.arange(12).view(2, 6)
        with torch.no_grad():
            assert torch.equal(loaded(tokens).logits, live.model(tokens).logits)


def test_a_base_of_a_third_depth_is_a_baseline(
    unlike: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is no average of models of unlike depth, and no delta to scale."""
    base = {"base": unlike.folder / "base", "method": "ties", "genome__layers": "path", "evaluations": 2}
    run = tmp_path / "run"
    assert main(["check", *unlike.words(run, **{**WORDS, **UNLIKE, **base})]) == 0
    printed = capsys.readouterr().out
    assert "llama, 3 and 4 and 5 layers" in printed
    assert "seconds: about" in printed
    assert unlike.search(run, **{**WORDS, **UNLIKE, **base}) == 0
    named = {own.name for own in RunStore.read(run).evaluations("search") if own.name is not None}
    assert named == {"base", "expert:one", "expert:two"}


def test_unlike_depth_is_refused_where_models_are_merged(
    unlike: Family, tmp_path: Path, problems_of: Callable[[Sequence[str]], str]
) -> None:
    words = unlike.words(tmp_path / "run", **{**WORDS, **UNLIKE})
    assert "it has 5 layers, the reference has 3" in problems_of(["search", *words])
    words = unlike.words(tmp_path / "run", **{**WORDS, **UNLIKE, "genome__layers": "path", "genome__through": "both"})
    assert "it has 5 layers, the reference has 3" in problems_of(["search", *words])
    wide = tiny("llama", tmp_path / "wide", 3, num_hidden_layers=4, intermediate_size=48)
    models = {"models": f"[{unlike.folder / 'one'},{wide}]", "genome__layers": "path"}
    words = unlike.words(tmp_path / "run", **{**WORDS, **UNLIKE, **models})
    assert "has shape" in problems_of(["search", *words])
