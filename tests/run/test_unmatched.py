"""Tensors that only some models have, on the command line: of searches, recipes and mergekit's YAML."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from evomerge.cli.main import main
from tests.building import perturbed, plain_recipe, rewrite
from tests.run.family import Family

HEAD = "v_head.summary.weight"


@pytest.fixture
def valued(family: Family, tmp_path: Path) -> Path:
    """An expert with a value head."""
    folder = perturbed(family.folder / "one", tmp_path / "valued", 5)
    rewrite(folder, lambda tensors: tensors.update({HEAD: torch.arange(16.0)[None]}))
    return folder


@pytest.mark.parametrize("form", ["json", "yml"])
def test_merge(
    form: str,
    family: Family,
    valued: Path,
    tmp_path: Path,
    problems_of: Callable[[Sequence[str]], str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Refused with the setting to choose, then kept or left out as told, by name on the screen and in the card."""
    file, base = tmp_path / f"recipe.{form}", family.folder / "base"
    if form == "json":
        file.write_text(json.dumps(plain_recipe(str(base), str(valued))))
    else:
        weights = "parameters: {weight: 0.5}"
        models = f"[{{model: {base}, {weights}}}, {{model: {valued}, {weights}}}]"
        file.write_text(f"merge_method: linear\nmodels: {models}\ndtype: float32\n")
    printed = problems_of(["merge", f"recipe={file}", f"out={tmp_path / 'out'}"])
    assert HEAD in printed
    assert "unmatched=freeze" in printed
    assert not (tmp_path / "out").exists()
    for unmatched, done in (("freeze", "left out"), ("keep", "copied into the merged model")):
        out = tmp_path / unmatched
        assert main(["merge", f"recipe={file}", f"out={out}", f"unmatched={unmatched}"]) == 0
        assert f"1 tensor is not in the reference: {HEAD}; {done}" in capsys.readouterr().err
        held = load_file(out / "model.safetensors")
        assert (HEAD in held) == (unmatched == "keep")
        assert json.loads((out / "recipe.json").read_text())["unmatched"] == unmatched
        what = {"freeze": f"left out: 1 tensor, 16 weights, of valued: {HEAD}", "keep": f"of valued: {HEAD}"}
        assert f"- {what[unmatched]}" in (out / "README.md").read_text().replace("kept: 1 tensor, 16 weights, ", "")


def test_check(
    family: Family,
    valued: Path,
    tmp_path: Path,
    problems_of: Callable[[Sequence[str]], str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = family.words(tmp_path / "run", models=f"[{valued}]")
    assert HEAD in problems_of(["check", *words])
    assert main(["check", "--headers", *words, "unmatched=keep"]) == 0
    printed = capsys.readouterr().out
    assert "tensors\n  merged: 21 tensors, " in printed
    assert f"\n  kept: 1 tensor, 16 weights, of valued: {HEAD}\n" in printed
    assert f"{HEAD}; copied into the merged model (unmatched=keep)" in printed
