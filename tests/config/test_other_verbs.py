"""From words to a checked configuration, for the verbs that do not search."""

import json
from pathlib import Path

import pytest

from evomerge.candidate import RuntimeSettings
from evomerge.config import compose
from evomerge.errors import InputError
from evomerge.recipe import CheckpointRef
from tests.building import plain_recipe


def test_evaluate(desk: Path) -> None:
    config = compose.evaluate(["model=C", "model.device=cpu", "tasks=[rhymes]", "task_path=my_tasks"])
    assert config.model == CheckpointRef("C")
    assert config.runtime == RuntimeSettings(device="cpu")
    assert (config.split, config.offline, config.out) == ("test", True, None)
    assert compose.evaluate(["model=org/name", "tasks=[rhymes]", "task_path=my_tasks"]).offline is False
    words = ["model=C", "tasks=[rhymes]", "fitness.splits={search:1}", "fitness.fewshot_as_multiturn=true"]
    with pytest.raises(InputError) as caught:
        compose.evaluate(words)
    turns, split = caught.value.problems
    assert turns == "fitness.fewshot_as_multiturn: turns need fitness.apply_chat_template=true"
    assert split == "split: test has no items, as fitness.splits gives it none of them; name another, or all"


def test_merge_and_export_ask_the_hub_only_for_what_they_name(desk: Path) -> None:
    (desk / "run").mkdir()
    for source, offline in (("A", True), ("org/name", False)):
        plain = plain_recipe(source)
        old = {"models": plain.pop("sources"), "base": None, **plain}
        for recipe in (plain_recipe(source), plain_recipe("A", {"recipe": plain_recipe(source)}), old):
            (desk / "recipe.json").write_text(json.dumps(recipe))
            assert compose.merge(["recipe=recipe.json", "out=m"]).offline is offline
            assert compose.merge(["recipe=recipe.json", "out=m", "offline=true"]).offline is True
        manifest = {"format": 2, "models": [{"source": source}], "base": None, "config": {"offline": offline}}
        (desk / "run" / "manifest.json").write_text(json.dumps(manifest))
        assert compose.export(["run=run", "member=knee", "out=m"]).offline is offline
        manifest["config"] = {"offline": True}  # what looks like a hub id was a folder
        (desk / "run" / "manifest.json").write_text(json.dumps(manifest))
        assert compose.export(["run=run", "member=knee", "out=m"]).offline is True


def test_what_is_wrong_with_files_and_other_values_is_told_together(desk: Path) -> None:
    (desk / "recipe.json").write_text(json.dumps(plain_recipe("A") | {"sauces": []}))
    (desk / "run").mkdir()
    (desk / "run" / "manifest.json").write_text('{"format": 9}')
    cases = (
        (
            compose.merge,
            ["recipe=recipe.json", "max_shard_size=5X"],
            ("recipe: recipe.json: unknown field 'sauces'", "max_shard_"),
        ),
        (compose.export, ["run=run", "member=knee", "max_shard_size=0"], ("run: run has run format", "or 100K, came")),
    )
    for compose_verb, words, expected in cases:
        with pytest.raises(InputError) as caught:
            compose_verb([*words, "out=my_tasks"])
        assert len(caught.value.problems) == 3
        assert all(any(part in problem for problem in caught.value.problems) for part in expected)
    (desk / "recipe.json").write_text(json.dumps(plain_recipe("A")))
    assert compose.merge(["recipe=recipe.json", "out=m", "max_shard_size=1e6"]).max_shard_size == 10**6
