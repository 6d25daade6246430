"""What is said of a tensor is what is merged, and each value is told with its place in the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from evomerge.cli.main import main
from tests.building import tiny_llama
from tests.run.family import Family

STAGES = """\
name: half
merge_method: slerp
base_model: one
models: [{model: one}, {model: two}]
parameters:
  t:
    - {filter: o_proj, value: [0.25, 0.75]}
    - {value: 0.5}
---
merge_method: task_arithmetic
base_model: base
models:
  - model: half
    parameters: {weight: 0.5}
  - model: two
parameters: {weight: [1, 0, 3], lambda: 2}
dtype: float32
"""


@pytest.fixture
def here(family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The models' folder, as the working directory: mergekit's paths are relative to it."""
    monkeypatch.chdir(family.folder)
    return tmp_path


def lines(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert main(["explain", *words]) == 0
    return [line.strip() for line in capsys.readouterr().out.splitlines()]


def test_values_of_stages_filters_and_gradients(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = here / "stages.yml"
    file.write_text(STAGES)
    said = lines(capsys, f"recipe={file}", "tensor=model.layers.1.self_attn.o_proj.weight")
    first, second = f"{file}, document 1 (half)", f"{file}, document 2"
    assert f"{second}: weight of half = 0.5   models[0].parameters.weight" in said
    assert f"{second}: weight of two = 3   parameters.weight, between its points 1 and 2 (0 and 3) at depth 1" in said
    assert f"{second}: lambda = 2   parameters.lambda" in said
    assert f"{second}: normalize = 0   not said; mergekit's default" in said
    where = "parameters.t[0] (filter 'o_proj'), between its points 0 and 1 (0.25 and 0.75) at depth 1"
    assert f"{first}: t = 0.75   {where}" in said
    assert any(line.startswith("method task_arithmetic (normalise=none") for line in said)
    assert any(line.startswith("method slerp") for line in said), "the merge that is merged again is told too"
    outer = next(line for line in said if line.startswith("input 0 ") and "of the merge slerp" in line)
    assert "weight 0.5 (coefficients.weight[" in outer
    assert sum(line.startswith("t = 0.75 ") for line in said) == 1


def test_our_own_recipes_frozen_groups_and_names_that_are_none(
    here: Path, family: Family, capsys: pytest.CaptureFixture[str]
) -> None:
    from evomerge.recipe import CheckpointRef, Group, ParameterGroups, Recipe

    models = tuple(CheckpointRef(str(family.folder / name)) for name in ("one", "two"))
    groups = ParameterGroups((Group("tops", ("norm",), frozen=True), Group("rest")))
    recipe = Recipe(
        "linear", {"normalise": "weight"}, models, None, groups, {"weight": [[1, 1], [3, 1]]}, out_dtype="float32"
    )
    file = here / "recipe.json"
    recipe.save(file)
    said = lines(capsys, f"recipe={file}", "tensor=model.layers.0.mlp.up_proj.weight")
    assert "group 'rest', row 1 of the coefficients (layer 0, mlp)" in said
    assert any("weight 3 (coefficients.weight[1][0]), share 0.75 of the sum of weights" in line for line in said)
    said = lines(capsys, f"recipe={file}", "tensor=model.norm.weight")
    assert any(line.endswith("the group is frozen") for line in said)
    assert main(["explain", f"recipe={file}", "tensor=up_proj"]) == 2
    printed = capsys.readouterr().err
    assert "no tensor 'up_proj'" in printed
    assert "model.layers.0.mlp.up_proj.weight" in printed


def test_methods_without_parameters_tied_heads_and_rows_of_tokens(
    here: Path, family: Family, capsys: pytest.CaptureFixture[str]
) -> None:
    file = here / "fusion.yml"
    file.write_text("merge_method: arcee_fusion\nbase_model: base\nmodels: [{model: one}]\n")
    said = lines(capsys, f"recipe={file}", "tensor=model.norm.weight")
    assert "arcee_fusion   the method has no parameters" in said
    tied = tiny_llama(here / "tied", 0, tied=True)
    file.write_text(f"merge_method: passthrough\nmodels: [{{model: {tied}}}]\n")
    assert main(["explain", f"recipe={file}", "tensor=lm_head.weight"]) == 2
    assert "repeats the embeddings: ask for 'model.embed_tokens.weight'" in capsys.readouterr().err
    tokens = "{source: union, tokens: {a: {source: {kind: zero}}}, pad_to_multiple_of: 8}"
    half = "models: [{model: one}, {model: two}]\nparameters: {weight: 0.5}\n"
    file.write_text(f"merge_method: linear\n{half}tokenizer: {tokens}\n")
    said = lines(capsys, f"recipe={file}", "tensor=model.embed_tokens.weight")
    rows = (
        "rows are those of tokens, wherever a model has them (tokenizer: union; the recipe says the embeddings of 'a')"
    )
    assert rows in said
