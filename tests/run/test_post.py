"""Searches with steps after the merge: resumed to the last bit, exported with a proof, told by report and card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from evomerge import post
from evomerge.cli.main import main
from evomerge.options import Option
from evomerge.recipe import Recipe
from evomerge.run.recipes.steps import WrittenSteps
from tests.apart import Forked
from tests.run.family import Family, answers, records
from tests.run.test_resume import kill_when, lines

LINES = {"post": "[lines]", "evaluations": 8, "searcher__population": 5, "confirm__finalists": 1, "items_per_task": 8}


@pytest.fixture(scope="module")
def stepped(family: Family, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run whose candidates are scaled over depth; to be read only."""
    run = tmp_path_factory.mktemp("stepped") / "run"
    assert family.search(run, **LINES) == 0
    return run


def test_a_killed_run_ends_as_one_that_was_not(
    family: Family, stepped: Path, tmp_path: Path, program: Callable[..., Forked]
) -> None:
    killed = tmp_path / "killed"
    words = family.words(killed, **LINES)
    kill_when(program, words, lambda: lines(killed) >= 4 + 5)
    assert program(["search", *words]).wait() == 0
    assert records(killed) == records(stepped)
    assert answers(killed) == answers(stepped)


def test_an_export_is_the_candidate_and_says_its_steps(
    family: Family, stepped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", f"run={stepped}", "member=knee", f"out={tmp_path / 'out'}"]) == 0
    assert not (tmp_path / "out" / "mergekit_config.yml").exists()
    capsys.readouterr()
    recipe = Recipe.load(tmp_path / "out" / "recipe.json")
    (step,) = recipe.post
    assert step.name == "lines"
    assert set(step.coefficients["beta"]) == {step.coefficients["beta"][0]}  # one value for the whole model
    card = (tmp_path / "out" / "README.md").read_text()
    assert "on the merged delta `lines` (options: alpha_from=norm)" in card
    assert "`lines.beta` by group" in card
    assert main(["explain", f"recipe={tmp_path / 'out' / 'recipe.json'}", "tensor=model.norm.weight"]) == 0
    assert "then step lines (alpha_from=norm): beta" in capsys.readouterr().out


def test_manifest_and_report_have_the_steps(stepped: Path) -> None:
    manifest = json.loads((stepped / "manifest.json").read_text())
    assert manifest["post"][0]["name"] == "lines"
    assert manifest["identity"]["post"] == [{"name": "lines", "options": {"alpha_from": "norm"}}]
    assert "lines.beta all" in manifest["genome"]["labels"]
    assert any(name.endswith("+lines") for name in manifest["starts"])
    assert "Steps after the merge" in (stepped / "report.html").read_text()
    assert "lines.beta" in (stepped / "report.html").read_text()
    assert all(not record["recipe"].get("post") for record in records(stepped) if record["name"])  # baselines


def test_a_front_with_steps_starts_a_search_with_the_same(family: Family, stepped: Path, tmp_path: Path) -> None:
    assert family.search(tmp_path / "run", **{**LINES, "evaluations": 4}, start_from=stepped) == 0
    names = json.loads((tmp_path / "run" / "manifest.json").read_text())["starts"]
    assert any(name.startswith(str(stepped)) for name in names)


def test_a_recipe_with_steps_is_searched(family: Family, stepped: Path, tmp_path: Path) -> None:
    front = json.loads((stepped / "front.json").read_text())
    digest = front["members"][0]["digest"]
    (recipe,) = {json.dumps(e["recipe"]) for e in records(stepped) if e["digest"] == digest and e["recipe"]}
    (tmp_path / "recipe.json").write_text(recipe)
    changes = {"models": None, "base": None, "method": None, "evaluations": 3, "post": None}
    changes |= {"genome.searched": "[lines.beta]", "recipe": tmp_path / "recipe.json"}
    assert family.search(tmp_path / "run", **{**LINES, **changes}) == 0
    assert {e["digest"] for e in records(tmp_path / "run")} >= {digest}
    labels = json.loads((tmp_path / "run" / "manifest.json").read_text())["genome"]["labels"]
    assert labels
    assert all(label.startswith("lines.beta") for label in labels)


def test_a_method_without_a_base_takes_the_base_for_its_steps(family: Family, tmp_path: Path) -> None:
    changes = {**LINES, "method": "linear", "post": "[{step: scale, factor: 0.5}]", "evaluations": 4}
    assert family.search(tmp_path / "run", **changes) == 0
    candidates = [e["recipe"] for e in records(tmp_path / "run") if not e["name"]]
    assert all(Path(recipe["base"]["checkpoint"]).name == "base" for recipe in candidates)
    assert all(set(recipe["post"][0]["coefficients"]["factor"]) == {0.5} for recipe in candidates)
    shutil.rmtree(tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"post": "[line]"}, "did you mean 'lines'"),
        ({"post": "[{step: lines, alpha_form: value}]"}, "did you mean 'alpha_from'"),
        ({"post": "[{step: lines, alpha: 0.3}]"}, "no option or coefficient 'alpha'"),
        ({"post": "[{step: lines, alpha_from: nor}]"}, "post[0]: step lines: option alpha_from is 'nor'"),
        ({"post": "[scale,{step: sparsify, density: 2}]"}, "post[1]: step sparsify: density is 2; expected a number"),
        ({"post": "[{lines: 1}]"}, "needs its name under 'step'"),
        ({"post": "[{step: svc, target: 5}]"}, "post[0]: step svc: option target is 5, but there are"),
        ({"post": "[{step: scale, factor: 0.5}]", "genome.fixed": "{'*': {scale.factor: 1}}"}, "post gives it too"),
        ({"post": "[{step: svc, target: 0}]", "searcher": "greedy_soup"}, "searcher greedy_soup proposes"),
        ({"post": "[lines]", "base": "null"}, "steps take the merged model minus the base"),
        ({"post": "[lines]", "genome.bounds": "{lines.bta: [0, 1]}"}, "did you mean 'lines.beta'"),
    ],
)
def test_mistakes_are_told(family: Family, problems_of: Callable[..., str], changes: dict[str, str], told: str) -> None:
    assert told in problems_of(["search", *family.words("nowhere", **changes)])


def test_options_that_came_later_are_written_where_they_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes and identities of older searches have not heard of them."""
    scale = post.load("scale")
    later = replace(scale, options={"power": Option(1, None, int, "its power", later=True)})
    monkeypatch.setattr(post, "load", lambda name: later)
    for written, options in (("scale", {}), ({"step": "scale", "power": 2}, {"power": 2})):
        steps = WrittenSteps.read([written])
        assert steps.to_json() == [{"name": "scale", "options": options}]
        assert [step.options for step in steps.named] == [options]


def test_options_that_are_the_number_of_a_model_are_known() -> None:
    assert WrittenSteps.read(["scale", {"step": "svc", "target": 0}]).model_numbers == ("post[1].target",)
    assert not WrittenSteps.read(["svc"]).model_numbers
