"""The mergekit configuration gives every tensor its group's coefficients, by mergekit's rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from evomerge.dialects.mergekit.facts import ModelFacts
from evomerge.dialects.mergekit.filters import classify, filters
from evomerge.dialects.mergekit.written import written
from evomerge.errors import InputError
from evomerge.merging import Checkpoints
from evomerge.recipe import CheckpointRef, Group, ParameterGroups, Recipe
from tests.merging.conftest import Family, by_layer, make_recipe

ALL = ParameterGroups((Group("all"),))
BY_KIND = ParameterGroups(
    (
        *(Group(f"layer {i} {kind}", (kind,), (i, i + 1)) for i in range(2) for kind in ("attention", "mlp", "norm")),
        Group("embedding", ("embedding",)),
        Group("head", ("head",)),
        Group("rest"),
    )
)


def mergekit_config(recipe: Recipe, names: Sequence[str]) -> dict[str, Any] | None:
    """The one document of a recipe, as YAML reads it; None where it is refused."""
    try:
        return yaml.safe_load(written(recipe, lambda ref: ModelFacts(tuple(names), "float32")))
    except InputError:
        return None


def looked_up(config: Mapping[str, Any], model: int | None, parameter: str, tensor: str) -> float:
    """Mergekit's lookup: the model's own parameters, then the global ones; in a list the first filter that matches."""
    places = [config["models"][model].get("parameters", {})] if model is not None else []
    for parameters in (*places, config.get("parameters", {})):
        if parameter not in parameters:
            continue
        value = parameters[parameter]
        if not isinstance(value, list):
            return value
        for entry in value:
            if entry.get("filter") in (None, "*") or entry["filter"] in tensor:
                return entry["value"]
    raise KeyError(parameter)


def assert_says(config: Mapping[str, Any], recipe: Recipe, names: tuple[str, ...]) -> None:
    config = yaml.safe_load(yaml.safe_dump(config))
    for name in names:
        row = recipe.groups.index(name)
        for coefficient, values in recipe.coefficients.items():
            if values.ndim == 1:
                assert looked_up(config, None, coefficient, name) == values[row]
            else:
                found = [looked_up(config, i, coefficient, name) for i in range(values.shape[1])]
                assert found == values[row].tolist()


@pytest.mark.parametrize("groups", [ALL, by_layer(), BY_KIND], ids=["all", "layer", "kind"])
@pytest.mark.parametrize("method", ["linear", "slerp", "task_arithmetic", "ties", "dare_linear", "dare_ties"])
@pytest.mark.parametrize("model_type", ["llama", "mixtral", "gpt2"])
def test_every_tensor_gets_its_groups_coefficients(
    family: Callable[..., Family], model_type: str, method: str, groups: ParameterGroups
) -> None:
    base, one, two = family(model_type)
    options = {"rescale": "l1"} if method.startswith("dare") else {}  # the paper's rescaling is not in mergekit
    recipe = make_recipe(
        method, [one, two], None if method in ("slerp", "linear") else base, groups=groups, options=options
    )
    names = Checkpoints.open(recipe).merged_names
    config = mergekit_config(recipe, names)
    assert config is not None
    assert_says(config, recipe, names)
    assert config["dtype"] == "float32"
    assert config["out_dtype"] == "bfloat16"


def test_base_and_models_are_named(family: Callable[..., Family]) -> None:
    base, one, two = family()
    recipe = make_recipe("task_arithmetic", [one, two], base)
    names = Checkpoints.open(recipe).merged_names
    config = mergekit_config(recipe, names)
    assert config is not None
    assert config["base_model"] == str(base)
    assert [entry["model"] for entry in config["models"]] == [str(one), str(two)]
    hub = (CheckpointRef("/here/one", hub_id="org/one"), CheckpointRef("org/two", revision="v2"))
    config = mergekit_config(replace(recipe, sources=hub), names)
    assert config is not None
    assert [entry["model"] for entry in config["models"]] == ["org/one", "org/two@v2"]


def test_slerp_is_based_on_its_first_model(family: Callable[..., Family]) -> None:
    _, one, two = family()
    recipe = make_recipe("slerp", [one, two])
    config = mergekit_config(recipe, Checkpoints.open(recipe).merged_names)
    assert config is not None
    assert config["base_model"] == str(one)
    assert "t" in config["parameters"]


def test_frozen_groups_become_what_leaves_the_reference(family: Callable[..., Family]) -> None:
    base, one, two = family()
    first, *others = by_layer().groups
    groups = ParameterGroups((replace(first, frozen=True), *others))
    name, other = "model.layers.0.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.weight"

    def config(method: str, reference: Path | None) -> dict[str, Any] | None:
        recipe = make_recipe(method, [one, two], reference, groups=groups)
        return mergekit_config(recipe, Checkpoints.open(recipe).merged_names)

    found = config("ties", base)
    assert found is not None
    assert [looked_up(found, i, "weight", name) for i in range(2)] == [0.0, 0.0]
    assert looked_up(found, 0, "weight", other) > 0
    found = config("slerp", None)
    assert found is not None
    assert looked_up(found, None, "t", name) == 0.0
    found = config("linear", None)
    assert found is not None
    assert [looked_up(found, i, "weight", name) for i in range(2)] == [1.0, 0.0]
    # The base is no model of a linear merge, so nothing says "the base's own".
    assert config("linear", base) is None


@pytest.mark.parametrize(
    ("method", "options"),
    [("dare_ties", {}), ("dare_linear", {}), ("ties", {"scope": "global"}), ("ties", {"normalise": "count"})],
)
def test_options_without_counterpart(family: Callable[..., Family], method: str, options: dict[str, str]) -> None:
    base, one, two = family()
    recipe = make_recipe(method, [one, two], base, options=options)
    assert mergekit_config(recipe, Checkpoints.open(recipe).merged_names) is None


def test_coefficients_that_mergekit_lacks_are_left_out_where_they_say_nothing(family: Callable[..., Family]) -> None:
    base, one, two = family()
    options = {"select": "deltas", "uniform_below": 1e-6}
    recipe = make_recipe("sce", [one, two], base, groups=ALL, options=options)
    names = Checkpoints.open(recipe).merged_names
    even = {"weight": np.array([[0.5, 0.5]]), "select_topk": np.array([0.3]), "lambda": np.array([1.0])}
    config = mergekit_config(replace(recipe, coefficients=even), names)
    assert config is not None
    assert config["parameters"] == {"select_topk": 0.3}
    assert [set(entry) for entry in config["models"]] == [{"model"}, {"model"}]
    for said in ({"weight": np.array([[0.6, 0.4]])}, {"lambda": np.array([1.1])}):
        assert mergekit_config(replace(recipe, coefficients=even | said), names) is None


def test_frozen_groups_of_methods_that_say_what_leaves_the_reference(family: Callable[..., Family]) -> None:
    base, one, _ = family()
    first, *others = by_layer().groups
    groups = ParameterGroups((replace(first, frozen=True), *others))
    recipe = make_recipe("passthrough", [one], groups=groups)
    config = mergekit_config(recipe, Checkpoints.open(recipe).merged_names)
    assert config is not None
    assert looked_up(config, None, "scale", "model.layers.0.mlp.up_proj.weight") == 1.0
    recipe = make_recipe("nearswap", [one], base, groups=groups, options={"unit": "absolute"})
    assert mergekit_config(recipe, Checkpoints.open(recipe).merged_names) is None


class TestFilters:
    """Substrings, first match wins: the traps of names inside names."""

    def sorts(self, classes: Mapping[str, int]) -> int:
        names = tuple(classes)
        chosen = filters(names, tuple(classes.values()))
        assert chosen[-1][0] is None
        assert all(substring for substring, _ in chosen[:-1])
        assert {name: classify(chosen, name) for name in names} == dict(classes)
        return len(chosen)

    def test_layers_one_and_eleven(self) -> None:
        names = {f"model.layers.{i}.{m}.weight": i for i in range(24) for m in ("a", "b", "c")}
        assert self.sorts(names) == 24  # one for each layer, the last being the rest

    def test_kinds_across_layers(self) -> None:
        kinds = {"self_attn.q": 0, "self_attn.k": 0, "mlp.up": 1, "mlp.down": 1, "norm": 2}
        assert self.sorts({f"model.layers.{i}.{k}.weight": of for i in range(12) for k, of in kinds.items()}) <= 4

    def test_names_inside_names(self) -> None:
        self.sorts({"a.b": 0, "x.a.b": 1, "a.b.c": 2, "xa.b": 3, "a": 4, "b": 5})
        self.sorts({"norm": 0, "model.norm": 1, "model.norm.weight": 2, "model.normal.weight": 3})

    def test_random_classes(self) -> None:
        generator = np.random.default_rng(0)
        for _ in range(20):
            names = [f"{p}layers.{i}.{m}.w" for p in ("", "h.") for i in (1, 2, 11, 111) for m in ("a", "b", "ab")]
            self.sorts({name: int(generator.integers(5)) for name in names})

    def test_thousands_of_names(self) -> None:
        """A mixture of experts, with a class for each layer and kind."""
        names = {
            f"model.layers.{i}.mlp.experts.{e}.{p}_proj.weight": 2 * i
            for i in range(24)
            for e in range(60)
            for p in ("gate", "up", "down")
        } | {f"model.layers.{i}.self_attn.{p}_proj.weight": 2 * i + 1 for i in range(24) for p in "qkvo"}
        assert self.sorts(names) <= 60
