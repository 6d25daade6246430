"""The recipe value: digest, JSON, validation."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evomerge.errors import InputError
from evomerge.recipe import CheckpointRef, Group, ParameterGroups, Recipe


def recipe(**changes: object) -> Recipe:
    fields: dict = {
        "method": "ties",
        "options": {"scope": "tensor"},
        "sources": (CheckpointRef("a", fingerprint="11"), CheckpointRef("org/b", revision="main")),
        "base": CheckpointRef("base", fingerprint="00"),
        "groups": ParameterGroups((Group("embedding", ("embedding",), frozen=True), Group("rest"))),
        "coefficients": {"weight": np.array([[0.5, 0.5], [0.25, 0.75]]), "lambda": np.array([1.0, 0.7])},
        "seed": 3,
    }
    return Recipe(**{**fields, **changes})


def test_json_round_trip_keeps_every_field_and_the_digest(tmp_path: Path) -> None:
    first = recipe()
    again = Recipe.from_json(json.loads(json.dumps(first.to_json())))
    assert again.to_json() == first.to_json()
    assert again.digest == first.digest
    first.save(tmp_path / "recipe.json")
    assert Recipe.load(tmp_path / "recipe.json") == first


def test_digest_is_fixed_by_the_format() -> None:
    # A changed digest makes every stored run unreadable as a resumable one: change FORMAT when this must change.
    assert recipe().digest == "f69cab84cf6a45ad3764efced599f3f72f187b4a2e270d69856419a193ae5ab9"
    assert recipe(format=1).digest == "f38267656d33b97f3b4ddf277053040c8d8166f9b1aab8b1307616f2632433d1"


@pytest.mark.parametrize(
    "change",
    [
        {"method": "linear"},
        {"options": {"scope": "global"}},
        {"base": None},
        {"dtype": "bfloat16"},
        {"out_dtype": "float32"},
        {"seed": 4},
        {"coefficients": {"weight": np.array([[0.5, 0.5], [0.25, 0.75 + 1e-16 * 4]]), "lambda": np.array([1.0, 0.7])}},
    ],
)
def test_digest_follows_whatever_changes_the_model(change: dict) -> None:
    assert recipe(**change).digest != recipe().digest


def test_a_fingerprint_identifies_weights_wherever_they_lie() -> None:
    moved = replace(recipe(), base=CheckpointRef("/elsewhere/base", fingerprint="00"))
    assert moved.digest == recipe().digest
    other = replace(recipe(), base=CheckpointRef("base", fingerprint="01"))
    assert other.digest != recipe().digest


def test_coefficients_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        recipe().coefficients["weight"][0, 0] = 2.0


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(InputError) as caught:
        recipe(dtype="int8", coefficients={"weight": np.ones((3, 2)), "lambda": np.array([1.0, np.nan])})
    assert len(caught.value.problems) == 3


def test_a_byte_order_mark_is_no_part_of_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(recipe().to_json()), encoding="utf-8-sig")
    assert Recipe.load(path) == recipe()


@pytest.mark.parametrize("content", ["{", "[]", '{"method": "ties"}', "[" * 100_000, "1" * 5000])
def test_broken_recipe_files_are_explained(tmp_path: Path, content: str) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(content)
    with pytest.raises(InputError):
        Recipe.load(path)
    path.write_text('{"seed": 1, "method": "ties", "seed": 2}')
    with pytest.raises(InputError, match="field 'seed' is given twice"):
        Recipe.load(path)
    with pytest.raises(InputError, match="no recipe file"):
        Recipe.load(tmp_path / "absent.json")
