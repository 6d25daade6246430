"""Searches that start from the files of other tools: mergekit's YAML, and what mergekit-evolve and mergenetic run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

import evomerge
from evomerge.cli.main import main
from evomerge.config import compose
from evomerge.recipe import Recipe
from evomerge.store import RunStore
from tests.run.family import Family, records
from tests.run.test_recipe_search import SMALL

YAML = """
merge_method: ties
base_model: {base}
models:
  - model: {one}
    parameters:
      weight: 0.5
      density:
        - {{filter: mlp, value: [0.3, 0.9]}}
        - value: 0.5
  - model: {two}
    parameters: {{weight: 0.5, density: 0.5}}
parameters: {{normalize: false, lambda: 0.8}}
dtype: float32
"""


def test_numbers_of_mergekits_yaml_are_genes_as_the_file_gives_them(family: Family, tmp_path: Path) -> None:
    """A scalar is a gene, a gradient its anchors, a filter's value its own; the first candidate is the file's merge."""
    places = {name: str(family.folder / name) for name in ("one", "two", "base")}
    path = tmp_path / "own.yml"
    path.write_text(YAML.format(**places))
    run = tmp_path / "run"
    assert family.search(run, recipe=path, **{**SMALL, "evaluations": 2}) == 0
    store = RunStore.read(run)
    assert store.manifest["genome"]["labels"] == [
        "weight[one]", "weight[two]", "density[one] depth 0% mlp", "density[one] depth 100% mlp", "density[one]",
        "density[two]", "lambda",
    ]  # fmt: skip
    own, other = [evaluation for evaluation in store.evaluations("search") if evaluation.name is None]
    coefficients = Recipe.from_json(other.recipe).coefficients
    assert len(set(coefficients["lambda"])) == len(set(coefficients["weight"][:, 0])) == 1
    assert len(set(coefficients["density"][:, 0])) == 3, "two anchors of two layers, and the rest"
    asked = evomerge.Run(run).export(own.digest[:12], tmp_path / "exported")
    assert asked.difference <= asked.tolerance
    evomerge.merge(path, tmp_path / "merged")
    exported, merged = (load_file(tmp_path / name / "model.safetensors") for name in ("exported", "merged"))
    assert all(torch.equal(exported[name], merged[name]) for name in merged)
    written = yaml.safe_load((tmp_path / "exported" / "mergekit_config.yml").read_text())
    assert written["merge_method"] == "ties"
    assert written["models"][1]["parameters"] == {"weight": 0.5, "density": 0.5}


EVOLVE = """
genome:
  models: [{one}, {two}]
  merge_method: dare_ties
  base_model: {base}
  layer_granularity: 1
  filters: [self_attn]
tasks:
  - first
  - {{name: second, weight: 2, metric: "acc,none"}}
limit: 6
apply_chat_template: false
"""


def test_a_configuration_of_mergekit_evolve_runs_as_a_search(
    family: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it is in our words is printed, and what is said beside it counts."""
    path = tmp_path / "evolve.yml"
    path.write_text(EVOLVE.format(**{name: family.folder / name for name in ("one", "two", "base")}))
    run = tmp_path / "run"
    words = [f"recipe={path}", f"task_path=[{family.folder / 'tasks'}]", f"run_dir={run}", "model.threads=1"]
    words += ["evaluations=2", "confirm.finalists=1", "promote.candidates=1", "progress=none"]
    assert main(["search", *words]) == 0
    told = capsys.readouterr().err
    for line in ("method=dare_ties", "genome=blocks", "genome.block_size=1", "objectives=['first.acc + 2*second.acc']"):
        assert f"\n  {line}\n" in told
    manifest = RunStore.read(run).manifest
    assert manifest["genome"]["n_var"] == 2 * 2 * (1 + 2), (
        "blocks, parts, and of two models one share and two densities"
    )
    assert manifest["config"]["searcher"]["name"] == "cmaes"
    assert manifest["budgets"]["evaluations"] == 2
    assert sum(record["name"] is None for record in records(run) if record["split"] == "search") == 2
    assert main(["search", *words]) == 0, "it goes on, with nothing left to do"


@pytest.mark.slow
def test_a_configuration_of_mergenetic_runs_as_a_search(family: Family, tmp_path: Path) -> None:
    config = {
        "run_id": "run", "path_to_store_config": str(tmp_path), "path_to_store_merged_model": "none", "n_iter": 1,
        "pop_size": 5, "models": [str(family.folder / name) for name in ("one", "two")], "metric": "acc",
        "base_model": str(family.folder / "base"), "additional_templates_folder": str(family.folder / "tasks"),
        "tasks": ["first", "second"], "n_samples": 6, "dtype": "bfloat16", "device": "cpu",
    }  # fmt: skip
    path = tmp_path / "genetic.yaml"
    path.write_text(yaml.safe_dump(config))
    run = evomerge.search(experiment=path, **{"model.threads": 1})
    assert run.folder == tmp_path / "run"
    assert sum(e.name is None for e in run.evaluations("search")) == 5
    assert [entry["label"] for entry in run.manifest["objectives"]] == ["first.acc", "second.acc"]
    assert run.manifest["genome"]["n_var"] == 4


def test_a_chat_template_that_is_said_off_beside_mergekit_evolve_takes_its_turns_along(
    family: Family, tmp_path: Path
) -> None:
    path = tmp_path / "evolve.yml"
    text = EVOLVE.format(**{name: family.folder / name for name in ("one", "two", "base")})
    path.write_text(text.replace("apply_chat_template: false\n", ""))
    words = [f"recipe={path}", f"task_path=[{family.folder / 'tasks'}]", "fitness.apply_chat_template=false"]
    fitness = compose.search(words).fitness
    assert (fitness.apply_chat_template, fitness.fewshot_as_multiturn) == (False, False)


def test_configurations_of_other_tools_are_refused_with_everything_that_is_wrong(
    family: Family, tmp_path: Path, problems_of: Callable[..., str]
) -> None:
    path = tmp_path / "evolve.yml"
    path.write_text("genome: {models: [nowhere], merge_method: tise}\ntasks: []\nspeed: 1\n")
    printed = problems_of(["search", f"recipe={path}", "seed=-1"])
    for problem in ("genome.merge_method is 'tise'", "tasks is []", "unsupported key speed", "seed: expected"):
        assert problem in printed
