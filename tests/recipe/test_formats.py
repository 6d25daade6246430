"""Both JSON formats: old files and their digests, new fields, and everything that is wrong with a file at once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evomerge.errors import InputError
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

OLD = Path(__file__).parent / "format_1"
ROOT = Path(__file__).parents[2]
RECORDS = (
    *(ROOT / "results" / "smollm2" / run / "evaluations.jsonl" for run in ("front", "single")),
    *sorted((ROOT / "tests" / "fixtures" / "runs_format_1").glob("*/records/*.jsonl")),
)
A, B = CheckpointRef("a", fingerprint="11"), CheckpointRef("org/b", "main", hub_id="org/b")
BASE = CheckpointRef("base", fingerprint="00")


def plain(**changes: Any) -> Recipe:
    groups = ParameterGroups((Group("first", layers=(0, 1)), Group("rest")))
    values = {"weight": np.array([[0.5, 0.25], [0.1, 0.9]]), "lambda": np.array([1.0, 0.7])}
    return replace(Recipe("ties", {"scope": "tensor"}, (A, B), BASE, groups, values, seed=3), **changes)


def full() -> Recipe:
    """A recipe with a value in every field."""
    layers = (OutputLayer(((0, 0), (0, 1)), base=0, row=1), OutputLayer(((1, 1),), scale=0.5))
    inner = Recipe("linear", {}, (A,), None, ParameterGroups((Group("all"),)), {"weight": [[1.0]]})
    return plain(
        sources=(AdapterRef("lora", A, "v1"), inner),
        layers=layers,
        ends=Ends((1, 0), (1,)),
        groups=ParameterGroups((Group("first", filters=("mlp", "norm.")), Group("rest"))),
        post=(PostStep("low_rank", {"to": 8}, {"energy": np.array([0.9, 0.8])}),),
        statistics=("5a" * 32,),
        tokenizer=Tokenizer("union", {"<tool>": {"source": 1}}, 64),
        embeddings="base",
        chat_template=1,
    )


class TestFormat1:
    """Files that earlier versions wrote."""

    @pytest.mark.parametrize("name", sorted(json.loads((OLD / "digests.json").read_text())))
    def test_digests_are_what_they_were(self, name: str) -> None:
        """The digests are those that the version computed which wrote these files."""
        recipe = Recipe.load(OLD / f"{name}.json")
        assert recipe.format == 1
        assert recipe.digest == json.loads((OLD / "digests.json").read_text())[name]

    @pytest.mark.parametrize("name", ["two_models", "baseline", "layout", "union"])
    def test_they_are_written_as_they_were(self, name: str) -> None:
        text = (OLD / f"{name}.json").read_text()
        assert json.dumps(Recipe.from_json(json.loads(text)).to_json(), indent=2) + "\n" == text

    @pytest.mark.parametrize("path", RECORDS, ids=lambda path: str(path.relative_to(ROOT)))
    def test_the_recipes_of_committed_runs(self, path: Path) -> None:
        records = [json.loads(line) for line in path.read_text().splitlines()]
        old = [record for record in records if record["recipe"]["format"] == 1]
        assert len(old) > 5 or path.name == "evaluations.jsonl"
        for record in old:
            recipe = Recipe.from_json(record["recipe"])
            assert recipe.digest == record["digest"]
            assert recipe.to_json() == record["recipe"]
            again = replace(recipe, format=2)
            assert again.digest != recipe.digest
            assert Recipe.from_json(json.loads(json.dumps(again.to_json()))).as_format_1().digest == record["digest"]

    @pytest.mark.parametrize("layout", [False, "", 0, {}])
    def test_a_layout_is_a_list(self, layout: Any) -> None:
        data = json.loads((OLD / "layout.json").read_text()) | {"layout": layout}
        with pytest.raises(InputError, match=r"layout is .*; expected a list"):
            Recipe.from_json(data)

    def test_a_layout_is_layers_of_one_input(self) -> None:
        recipe = Recipe.load(OLD / "layout.json")
        assert recipe.layers == (OutputLayer(((0, 0),)), OutputLayer(((1, 0),)), OutputLayer(((0, 1),)))

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"layers": (OutputLayer(((0, 0), (1, 0))),)}, "layers"),
            ({"layers": (OutputLayer(((0, 0),), scale=2.0),)}, "layers"),
            ({"sources": (A, AdapterRef("lora", A))}, "sources"),
            ({"base": plain()}, "base"),
            ({"groups": ParameterGroups((Group("a", filters=("mlp",)), Group("b")))}, "groups"),
            ({"layers": (OutputLayer(((0, 0),)),), "ends": Ends((0,), (1,))}, "ends"),
            ({"post": (PostStep("low_rank"),)}, "post"),
            ({"statistics": ("5a",)}, "statistics"),
            ({"embeddings": "base"}, "embeddings"),
            ({"tokenizer": Tokenizer(pad_to_multiple_of=8)}, "tokenizer"),
            ({"chat_template": 0}, "chat_template"),
        ],
    )
    def test_what_it_cannot_say(self, change: dict[str, Any], field: str) -> None:
        with pytest.raises(InputError, match=f"^{field} says something that recipe format 1 has no words for"):
            plain(**change).as_format_1()


class TestFormat2:
    """The format of new recipes."""

    def test_canonical_json_by_hand(self) -> None:
        assert plain().to_json() == {
            "format": 2,
            "method": "ties",
            "sources": [
                {"checkpoint": "a", "fingerprint": "11"},
                {"checkpoint": "org/b", "revision": "main", "hub_id": "org/b"},
            ],
            "base": {"checkpoint": "base", "fingerprint": "00"},
            "options": {"scope": "tensor"},
            "groups": {
                "groups": [{"label": "first", "layers": [0, 1]}, {"label": "rest"}],
                "patterns": [list(pair) for pair in plain().groups.patterns],
                "layer_pattern": plain().groups.layer_pattern,
            },
            "coefficients": {"weight": [[0.5, 0.25], [0.1, 0.9]], "lambda": [1.0, 0.7]},
            "dtype": "float32",
            "out_dtype": "bfloat16",
            "seed": 3,
        }

    def test_every_field_by_hand(self) -> None:
        data = full().to_json()
        inner = full().sources[1]
        assert isinstance(inner, Recipe)
        lora = {"adapter": "lora", "revision": "v1", "on": {"checkpoint": "a", "fingerprint": "11"}}
        assert data["sources"] == [lora, {"recipe": inner.to_json()}]
        assert data["layers"] == [
            {"inputs": [[0, 0], [0, 1]], "base": 0, "row": 1},
            {"inputs": [[1, 1]], "scale": 0.5},
        ]
        assert data["ends"] == {"before": [1, 0], "after": [1]}
        assert data["groups"]["groups"] == [{"label": "first", "filters": ["mlp", "norm."]}, {"label": "rest"}]
        assert data["post"] == [{"name": "low_rank", "options": {"to": 8}, "coefficients": {"energy": [0.9, 0.8]}}]
        assert data["statistics"] == ["5a" * 32]
        assert data["tokenizer"] == {"source": "union", "tokens": {"<tool>": {"source": 1}}, "pad_to_multiple_of": 64}
        assert (data["embeddings"], data["chat_template"]) == ("base", 1)

    @pytest.mark.parametrize(
        "recipe",
        [
            plain(),
            full(),
            plain(chat_template="{{ x }}", base=None),
            plain(groups=ParameterGroups((Group("", layers=(0, 1)), Group("rest")))),
        ],
    )
    def test_round_trip(self, tmp_path: Path, recipe: Recipe) -> None:
        again = Recipe.from_json(json.loads(json.dumps(recipe.to_json())))
        assert again.to_json() == recipe.to_json()
        assert again == recipe
        recipe.save(tmp_path / "recipe.json")
        assert Recipe.load(tmp_path / "recipe.json") == recipe

    def test_short_forms(self) -> None:
        short = {
            "method": "linear", "sources": ["a", {"checkpoint": "b"}], "groups": {"groups": [{"label": "all"}]},
            "coefficients": {"weight": [[1, 2]]}, "base": None, "chat_template": None,
        }  # fmt: skip
        recipe = Recipe.from_json(short)
        assert recipe.format == 2
        assert recipe.sources == (CheckpointRef("a"), CheckpointRef("b"))
        assert recipe.groups == ParameterGroups((Group("all"),))

    def test_checkpoints_of_inner_recipes(self) -> None:
        outer = plain(sources=(plain(), AdapterRef("lora", CheckpointRef("c"))), base=None)
        assert outer.reference == BASE
        assert outer.checkpoints == (BASE, A, B, CheckpointRef("c"))
        with pytest.raises(InputError, match="expected checkpoints alone"):
            _ = outer.models

    def test_an_inner_recipe_counts_by_its_meaning(self) -> None:
        """A moved folder inside changes nothing; another coefficient inside does."""
        inner = plain(sources=(A, A))
        outer = plain(sources=(inner, B))
        moved = replace(A, source="/elsewhere/a")
        assert plain(sources=(replace(inner, sources=(moved, moved)), B)).digest == outer.digest
        assert plain(sources=(replace(inner, seed=4), B)).digest != outer.digest

    def test_nesting_ends(self) -> None:
        recipe = plain()
        for _ in range(7):
            recipe = plain(sources=(recipe, B))
        data = {**recipe.to_json(), "sources": [{"recipe": recipe.to_json()}, "b"]}
        with pytest.raises(InputError, match="recipes are nested 9 deep; at most 8"):
            plain(sources=(recipe, B))
        with pytest.raises(InputError, match=r"sources\[0\]\.recipe: .*nested more than 8 deep"):
            Recipe.from_json(data)


class TestProblems:
    """A file is told everything that is wrong with it."""

    def test_all_at_once(self) -> None:
        data = full().to_json() | {
            "option": {},
            "seed": "three",
            "dtype": "int8",
            "coefficients": {"weight": [[0.5, 0.5], [0.5]], "lambda": ["a", "b"], "t": [1.0, 2.0]},
            "layers": [{"inputs": [[0, 0], [5, 1]], "row": 9}, {"inputs": [[0]], "bas": 1}, {}],
            "post": [{"options": {}}],
            "tokenizer": {"source": 1.5},
            "sources": [{"adapter": "lora"}, {"recipe": {"method": 3}}, {"checkpoint": "c", "revison": "v1"}],
        }
        with pytest.raises(InputError) as caught:
            Recipe.from_json(data)
        assert sorted(caught.value.problems) == sorted(
            [
                "unknown field 'option' in the recipe; did you mean 'options'?",
                "seed is 'three'; expected an integer",
                "coefficients.weight is [[0.5, 0.5], [0.5]]; expected numbers, or rows of numbers of equal length",
                "coefficients.lambda is ['a', 'b']; expected numbers, or rows of numbers of equal length",
                "unknown field 'bas' in layers[1]; did you mean 'base'?",
                "layers[1].inputs[0] is [0]; expected a pair of integers",
                "layers[2] has no field 'inputs'",
                "post[0] has no field 'name'",
                "tokenizer.source is 1.5; expected a text or an integer",
                "sources[0] has no field 'on'",
                "sources[1].recipe: method is 3; expected a text",
                "sources[1].recipe: the recipe has no field 'sources'",
                "sources[1].recipe: the recipe has no field 'groups'",
                "sources[1].recipe: the recipe has no field 'coefficients'",
                "unknown field 'revison' in sources[2]; did you mean 'revision'?",
                "dtype is 'int8'; known are float32, bfloat16, float16",
            ]
        )

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            ({"layers": [{"inputs": [[2, 0]]}]}, r"layers\[0\].inputs names source 2; expected one of 0 to 1"),
            ({"layers": [{"inputs": [[0, -1]]}]}, r"layers\[0\].inputs names layer -1"),
            ({"layers": [{"inputs": []}]}, r"layers\[0\].inputs is empty"),
            ({"layers": [{"inputs": [[0, 0]], "row": 2}]}, r"layers\[0\].row is 2; expected one of 0 to 1"),
            ({"layers": [{"inputs": [[0, 0]], "scale": 0}]}, r"layers\[0\].scale is 0.0; expected a positive"),
            ({"base": None, "layers": [{"inputs": [[0, 0]], "base": 0}]}, "but the recipe has no base"),
            ({"base": None, "embeddings": "base"}, "embeddings is 'base', but the recipe has no base"),
            ({"embeddings": "mean"}, "embeddings is 'mean'; known are merge, base"),
            ({"tokenizer": {"source": 2}}, "tokenizer.source is 2; expected one of 0 to 1"),
            ({"tokenizer": {"pad_to_multiple_of": 0}}, "tokenizer.pad_to_multiple_of is 0"),
            ({"chat_template": 7}, "chat_template is 7; expected one of 0 to 1"),
            ({"chat_template": ""}, "chat_template is an empty text; leave it out"),
            ({"sources": ["", "b"]}, r"sources\[0\] is an empty text; expected a folder or a hub id"),
            ({"base": {"checkpoint": ""}}, "base.checkpoint is an empty text"),
            ({"sources": ["a", {"adapter": "", "on": "b"}]}, r"sources\[1\].adapter is an empty text"),
            ({"coefficients": {"weight": [[True, 0.5], [0.1, 0.9]]}}, r"coefficients.weight is .*; expected numbers"),
            ({"layers": [{"inputs": [[0, 0]], "scale": 10**400}]}, r"layers\[0\].scale is 1000.*a float can hold"),
            ({"groups": {"groups": [{"label": "a", "kinds": ["mpl"]}]}}, "module kind 'mpl' in group 'a'"),
            ({"post": [{"name": "x", "coefficients": {"a": [1.0]}}]}, r"post\[0\].coefficients.a has shape \(1,\)"),
            ({"coefficients": {"weight": [[1.0, 1.0]]}}, r"coefficient 'weight' has shape \(1, 2\)"),
            ({"coefficients": {"lambda": [1.0, float("inf")]}}, "not finite"),
            ({"groups": {"groups": [{"label": "a", "layers": [0]}]}}, r"groups.groups\[0\].layers is \[0\]"),
            ({"sources": []}, "sources is empty"),
            ({"format": 3}, "the recipe has format 3; this version reads formats 1 and 2"),
            ({"models": ["a"]}, "unknown field 'models'"),
        ],
    )
    def test_values_no_model_can_be_built_from(self, change: dict[str, Any], problem: str) -> None:
        with pytest.raises(InputError, match=problem):
            Recipe.from_json({**plain().to_json(), **change})

    def test_more_inputs_than_sources_are_more_columns(self) -> None:
        layers = (OutputLayer(((0, 0), (0, 1), (1, 0))),)
        with pytest.raises(InputError, match=r"shape \(2, 2\); expected one of \[\(2,\), \(2, 3\)\]"):
            plain(layers=layers)
        recipe = plain(layers=layers, coefficients={"weight": np.ones((2, 3))})
        assert recipe.slots == 3

    @pytest.mark.parametrize("data", [[], "x", None, 3])
    def test_no_object(self, data: Any) -> None:
        with pytest.raises(InputError, match=r"the recipe is .*; expected an object"):
            Recipe.from_json(data)
