"""The config of a model that is put together from layers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evomerge.errors import InputError
from evomerge.merging import Checkpoints, LiveModel, Merger
from evomerge.recipe import OutputLayer, Recipe
from tests.building import VOCABULARY, edit_json
from tests.merging.conftest import Family, make_recipe
from tests.merging.stacks import STACKED, stacked


class TestConfig:
    """What a config says for each layer follows the layers."""

    def config(self, recipe: Recipe) -> dict[str, Any]:
        return dict(Merger(Checkpoints.open(recipe)).plan(recipe).outputs.config)

    def test_layer_types_follow(self, family: Callable[..., Family]) -> None:
        base, one, two = family("gemma2")
        assert json.loads((base / "config.json").read_text())["layer_types"] == ["sliding_attention", "full_attention"]
        types = self.config(stacked(one, two, base))["layer_types"]
        assert types == [["sliding_attention", "full_attention"][layer.inputs[0][1]] for layer in STACKED]

    def test_what_a_config_leaves_to_its_class_is_written_where_it_differs(
        self, family: Callable[..., Family], tmp_path: Path
    ) -> None:
        folders = []
        for number, folder in enumerate(family("gemma2")):
            folders.append(tmp_path / str(number))
            folders[-1].mkdir()
            for path in folder.iterdir():
                (folders[-1] / path.name).write_bytes(path.read_bytes())
            edit_json(folders[-1] / "config.json", layer_types=None)
        base, one, two = folders
        twice = tuple(OutputLayer(((0, layer), (1, layer)), base=layer) for layer in (0, 0, 1))
        types = self.config(stacked(one, two, base, layers=twice))["layer_types"]
        assert types == ["sliding_attention", "sliding_attention", "full_attention"]
        plain = [OutputLayer(((0, layer), (1, layer)), base=layer) for layer in (0, 1)]
        assert "layer_types" not in self.config(stacked(one, two, base, layers=tuple(plain)))

    def test_the_language_model_of_a_vision_language_model(self, family: Callable[..., Family]) -> None:
        base, one, two = family("llava")
        config = self.config(stacked(one, two, base))
        assert config["text_config"]["num_hidden_layers"] == 5
        assert config["vision_config"]["num_hidden_layers"] == 2
        assert config["text_config"]["vocab_size"] == VOCABULARY

    def test_a_plain_recipe_changes_nothing(self, family: Callable[..., Family]) -> None:
        base, one, two = family()
        recipe = make_recipe("linear", [one, two], base)
        plan = Merger(Checkpoints.open(recipe)).plan(recipe)
        assert plan.outputs.config == json.loads((base / "config.json").read_text())
        assert not plan.outputs.reshaped
        assert LiveModel.load(base).fits(plan)

    def test_place_that_no_list_says(self, family: Callable[..., Family], tmp_path: Path) -> None:
        base, one, two = family("gpt2", scale_attn_by_inverse_layer_idx=True)
        with pytest.raises(InputError, match="says scale_attn_by_inverse_layer_idx"):
            self.config(stacked(one, two, base))
