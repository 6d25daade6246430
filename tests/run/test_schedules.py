"""Schedules as recipes of recipes: by hand, and equal to merges step by step through folders."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import evomerge
from evomerge.config import compose
from evomerge.errors import InputError
from evomerge.recipe import Recipe, Source
from evomerge.run.assemble import assemble
from evomerge.run.recipes.schedules import around, chain, merging, tree
from tests.building import perturbed
from tests.run.family import Family

README = Path(__file__).parents[2] / "evomerge" / "merging" / "README.md"


def fused(so_far: Source, model: Source) -> Recipe:
    return merging("arcee_fusion", [so_far], base=model)


def halves(one: Source, other: Source) -> Recipe:
    return merging("linear", [one, other], out_dtype="float32")


def shares(recipe: Source, share: float = 1.0) -> dict[str, float]:
    if not isinstance(recipe, Recipe):
        return {recipe.label: share}
    found: dict[str, float] = {}
    for source, own in zip(recipe.sources, recipe.coefficients["weight"][0], strict=True):
        found |= {label: found.get(label, 0.0) + value for label, value in shares(source, share * own).items()}
    return found


def test_shapes_by_hand() -> None:
    """What is left of each model after merges by halves."""
    assert shares(chain(["a", "b", "c"], halves)) == {"a": 0.25, "b": 0.25, "c": 0.5}
    assert shares(tree(["a", "b", "c", "d"], halves)) == {"a": 0.25, "b": 0.25, "c": 0.25, "d": 0.25}
    assert shares(tree(["a", "b", "c"], halves)) == {"a": 0.25, "b": 0.25, "c": 0.5}
    last = around("p", ["a", "b"], halves, lambda pairs: merging("linear", pairs))
    assert shares(last) == {"p": 0.5, "a": 0.25, "b": 0.25}


def test_each_step_may_have_a_method_of_its_own() -> None:
    recipe = chain(["a", "b", "c"], [halves, fused])
    assert recipe.method == "arcee_fusion"
    (inner,) = recipe.sources
    assert isinstance(inner, Recipe)
    assert inner.method == "linear"


def test_merging_names_what_is_wrong() -> None:
    assert np.array_equal(
        merging("linear", ["a", "b"], None, {"weight": [1, 3]}).coefficients["weight"], [[0.25, 0.75]]
    )
    with pytest.raises(InputError, match="there is no coefficient 'wait'"):
        merging("linear", ["a"], coefficients={"wait": 1.0})
    with pytest.raises(InputError, match=r"weight is .*; expected one number, or 2"):
        merging("linear", ["a", "b"], coefficients={"weight": [1.0]})
    with pytest.raises(InputError, match="names none; set base"):
        merging("ties", ["a", "b"])
    with pytest.raises(InputError, match="needs 2 models or more, came 1"):
        chain(["a"], halves)
    with pytest.raises(InputError, match="a chain of 3 models has 2 steps, came 1"):
        chain(["a", "b", "c"], [halves])
    with pytest.raises(InputError, match="nested"):
        chain([str(index) for index in range(10)], halves)


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_tinyr1_is_two_fusions(family: Family, tmp_path: Path) -> None:
    """As a recipe of recipes, as the guide's YAML, and step by step with a model on disk in between: the same bits."""
    models = [family.folder / "one", family.folder / "two", perturbed(family.folder / "base", tmp_path / "three", 3)]
    nested = tensors(evomerge.merge(chain(models, fused), tmp_path / "nested"))
    first = evomerge.merge(fused_paths(models[0], models[1]), tmp_path / "first")
    stepwise = tensors(evomerge.merge(fused_paths(first, models[2]), tmp_path / "second"))
    (text,) = re.findall(r"```yaml\n(name: middle\n.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    for place, model in enumerate(models, start=1):
        text = re.sub(rf"\bM{place}\b", str(model), text)
    (tmp_path / "chain.yml").write_text(text)
    written = tensors(evomerge.merge(tmp_path / "chain.yml", tmp_path / "written"))
    before = tensors(models[2])
    assert any(not torch.equal(nested[name], before[name]) for name in nested)
    for name, values in nested.items():
        assert torch.equal(values, stepwise[name]), name
        assert torch.equal(values, written[name]), name


def fused_paths(so_far: Path, model: Path) -> Recipe:
    return merging("arcee_fusion", [so_far], base=model)


def test_himergings_shape_is_a_genome(family: Family) -> None:
    """A density and a scale for each model, and for each layer whether its delta stays."""
    words = family.words(
        "left out", run_dir=None, method="ties", method_options="{normalise: none}", genome="model",
        genome__filters="[layers.0.,layers.1.]", genome__modules="searched", genome__shared="[weight,density]",
        genome__frozen="[embedding,norm,head]", genome__own_groups="[embedding,norm,head]",
    )  # fmt: skip
    labels = assemble(compose.search(words)).spec.labels
    assert [label for label in labels if label.startswith("on")] == [
        "on[one] layers.0.", "on[two] layers.0.", "on[one] layers.1.", "on[two] layers.1.",
    ]  # fmt: skip
    assert [label for label in labels if not label.startswith("on")] == [
        "weight[one] all", "weight[two] all", "density[one] all", "density[two] all",
    ]  # fmt: skip
