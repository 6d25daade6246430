"""Random recipes of ours, written as mergekit's YAML and read again, build the same models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import evomerge
from evomerge import methods
from evomerge.checkpoints import open_source
from evomerge.dialects.mergekit.reading import configurations
from evomerge.errors import InputError
from evomerge.merging import Checkpoints
from evomerge.recipe import (
    AdapterRef,
    CheckpointRef,
    Ends,
    Group,
    OutputLayer,
    ParameterGroups,
    PostStep,
    Recipe,
    Tokenizer,
)
from evomerge.run.recipe_files import load
from evomerge.run.recipe_files.writing import as_mergekit
from tests.dialects.mergekit.plans import plan_of
from tests.merging.conftest import Family

# Options that mergekit has, by method; the defaults elsewhere.
OPTIONS = {
    "dare_ties": {"rescale": "l1"}, "dare_linear": {"rescale": "none"}, "della": {"rescale": "l1"},
    "breadcrumbs": {"scope": "tensor", "yields": "gamma", "small": "zero"}, "nearswap": {"unit": "absolute"},
}  # fmt: skip
METHODS = ("linear", "slerp", "task_arithmetic", "ties", "dare_ties", "dare_linear", "della", "breadcrumbs", "nuslerp")
GROUPS = ParameterGroups(
    (
        Group("first attention", ("attention",), (0, 1)),
        Group("up", filters=("up_proj", "c_fc")),
        Group("norms", ("norm",)),
        Group("last", layers=(1, 3)),
        Group("rest"),
    )
)


def random_recipe(
    generator: np.random.Generator, sources: Sequence[Any], base: CheckpointRef, *, layers: tuple[OutputLayer, ...] = ()
) -> Recipe:
    """A recipe of any method that merges so many sources, with values of its own for each group."""
    name = str(generator.choice([name for name in METHODS if len(sources) == 2 or name not in ("slerp", "nuslerp")]))
    method = methods.load(name)
    options = method.resolve(OPTIONS.get(name, {}))
    values = {}
    for coefficient in method.coefficients(options):
        shape = (len(GROUPS.groups), len(sources)) if coefficient.per_model else (len(GROUPS.groups),)
        values[coefficient.name] = generator.uniform(0.05, 0.95, shape)
        if coefficient.name == "gamma":
            values[coefficient.name] *= 0.05
        if coefficient.name == "epsilon":  # a width in mergekit, of which the share is known to twelve digits
            values[coefficient.name] = values[coefficient.name].round(6)
    optional = method.base != "none" and not layers and generator.random() < 0.5
    own = base if method.base == "required" or optional else None
    if own is None:
        layers = tuple(replace(layer, base=None) for layer in layers)
    groups = GROUPS
    if method.base == "required" and generator.random() < 0.3:
        groups = ParameterGroups((replace(GROUPS.groups[0], frozen=True), *GROUPS.groups[1:]))
    return Recipe(name, options, tuple(sources), own, groups, values, layers=layers)


@pytest.mark.parametrize("model_type", ["llama", "gpt2"])
def test_random_recipes(family: Callable[..., Family], tmp_path: Path, model_type: str) -> None:
    base, *experts = (CheckpointRef(str(path)) for path in family(model_type))
    generator, path, seen = np.random.default_rng(7), tmp_path / "again.yml", set()
    pairs = (((0, 0), (1, 1)), ((0, 1), (1, 0)), ((1, 1), (0, 0)))
    stack = tuple(OutputLayer(pair, base=number % 2) for number, pair in enumerate(pairs))
    for number in range(24):
        sources: list[Any] = list(experts)
        if number % 4 == 1:
            sources[1] = random_recipe(generator, experts, base)
        recipe = random_recipe(generator, sources, base, layers=stack if number % 4 == 2 else ())
        if number % 8 == 2:
            recipe = replace(recipe, ends=Ends((1, 0), (0, 1)))
        if number % 4 == 3:
            token = {"<pad>": {"source": 1, "token_id": 5, "force": True}, "<eos>": {"source": "zero"}}
            recipe = replace(recipe, tokenizer=Tokenizer(0, token, 8))
        path.write_text(as_mergekit(recipe, Checkpoints.open(recipe)), encoding="utf-8")
        again = load(path)
        assert plan_of(again) == plan_of(recipe), path.read_text()
        assert again.tokenizer == recipe.tokenizer
        seen.add(recipe.method)
    assert len(seen) > 6


def test_adapters_and_revisions_are_names(family: Callable[..., Family]) -> None:
    _, one, two = family()
    first, second = CheckpointRef("org/a", "v1"), CheckpointRef(str(two))
    sources = (AdapterRef("lora", first, "v2"), AdapterRef("my+lora", second))
    groups, values = ParameterGroups((Group("all"),)), {"weight": [[1.0, 2.0]]}
    recipe = Recipe("linear", {"normalise": "weight"}, sources, None, groups, values)
    text = as_mergekit(recipe, Checkpoints({first: open_source(one), second: open_source(two)}))
    assert "model: org/a@v1+lora@v2\n" in text
    read = configurations(text, "f.yml")[0]
    assert [entry.model.source() for _, entry in read.entries()] == list(sources)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"post": (PostStep("low_rank"),)}, "post names low_rank"),
        ({"statistics": ("5a" * 32,)}, "statistics names data"),
        ({"embeddings": "base"}, "embeddings is 'base'"),
        ({"unmatched": "keep"}, "unmatched is 'keep'"),
        ({"chat_template": "{{ x }}"}, "chat_template is '{{ x }}'"),
        ({"method": "pcb"}, "method is 'pcb'"),
        ({"options": {"scope": "global"}}, "options are scope=global"),
        ({"layers": (OutputLayer(((0, 0), (0, 1)), base=0),)}, "layers[0].inputs names"),
        ({"layers": (OutputLayer(((0, 0),), base=0, scale=0.5),)}, "layers[0].scale is 0.5"),
        ({"layers": (OutputLayer(((0, 0),)),)}, "layers[0] has no base"),
        ({"layers": (OutputLayer(((0, 0),), base=0),), "ends": Ends((0,), (0, 1))}, "ends has 1 sources before"),
    ],
)
def test_refusals_name_the_field(family: Callable[..., Family], changes: dict[str, Any], field: str) -> None:
    base, one, two = (CheckpointRef(str(path)) for path in family())
    values = {"weight": [[1.0, 1.0]], "density": [[0.5, 0.5]], "lambda": [1.0]}
    recipe = Recipe("ties", {}, (one, two), base, ParameterGroups((Group("all"),)), values)
    with pytest.raises(InputError) as caught:
        as_mergekit(replace(recipe, **changes), Checkpoints.open(recipe))
    assert any(problem.startswith(field) for problem in caught.value.problems), caught.value.problems
    inner = replace(recipe, sources=(replace(recipe, **changes), two))
    with pytest.raises(InputError) as caught:
        as_mergekit(inner, Checkpoints.open(recipe))
    assert any(problem.startswith(f"sources[0].{field}") for problem in caught.value.problems), caught.value.problems


def test_from_python(family: Callable[..., Family], tmp_path: Path) -> None:
    """The same recipe from a file of either kind, and the text in an exported folder."""
    base, one, two = (CheckpointRef(str(path)) for path in family())
    values = {"weight": [[1.0, 1.0]], "density": [[0.5, 0.5]], "lambda": [1.0]}
    recipe = Recipe("ties", {}, (one, two), base, ParameterGroups((Group("all"),)), values, chat_template="chatml")
    recipe.save(tmp_path / "recipe.json")
    text = evomerge.as_mergekit(tmp_path / "recipe.json")
    assert "chat_template: chatml\n" in text
    (tmp_path / "recipe.yml").write_text(text, encoding="utf-8")
    assert evomerge.as_mergekit(str(tmp_path / "recipe.yml")) == text
    out = evomerge.merge(tmp_path / "recipe.yml", tmp_path / "out")
    assert (out / "mergekit_config.yml").read_text(encoding="utf-8") == text
    assert plan_of(Recipe.load(out / "recipe.json")) == plan_of(recipe)
