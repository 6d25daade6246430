"""Names of models and what their cards say get into the card of a merge as text: as no markup, and as no fields."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from evomerge.cli.main import main
from evomerge.cli.sweep_summary import _plain
from tests.building import plain_recipe

HOSTILE = "A\"'`|<script>alert(1)<!-- [x](y)\n---\nlicense - mit\n---\n$HOME"


def test_a_merge_of_hostile_names(workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = HOSTILE.replace("/", "")
    one, two = tmp_path / name, tmp_path / "B"
    shutil.copytree(workshop / "A", one)
    shutil.copytree(workshop / "B", two)
    licence = "<img src=x onerror=alert(1)> | `other`"
    (one / "README.md").write_text(f"---\nlicense: {json.dumps(licence)}\n---\n")
    monkeypatch.chdir(tmp_path)
    recipe = plain_recipe(name, "B")
    recipe["groups"]["groups"][0]["label"] = "<b>|all"
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    assert main(["merge", "recipe=recipe.json", "out=made"]) == 0
    card = ModelCard.load(tmp_path / "made" / "README.md")
    assert card.data.base_model == [name, "B"]
    assert card.data.to_dict().get("license") is None  # B states none
    text = card.text
    assert "\n---" not in text
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text)  # what stands between backticks is shown as it is
    assert not re.search(r"(?<!\\)[<>]", outside.replace("\n> **", "\n"))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {4}


def test_cells_of_a_sweeps_summary() -> None:
    assert _plain("a|b\n<script>`x`") == "a\\|b \\<script\\>\\`x\\`"
