"""Searches whose experts are LoRA adapters: found, scored, reported, exported and merged again."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import evomerge
from evomerge.checkpoints import open_source
from evomerge.cli.main import main
from evomerge.recipe import AdapterRef, Recipe
from tests.adapters import lora
from tests.building import edit_json, perturbed
from tests.run.family import Family


@pytest.fixture(scope="module")
def adapters(family: Family, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder, base = tmp_path_factory.mktemp("adapters"), family.folder / "base"
    narrow = lora(base, folder / "narrow", 2, rank=2, targets=("q_proj", "gate_proj"), scale=0.3)
    return lora(base, folder / "wide", 1, scale=0.3), narrow


def models(*folders: Path) -> str:
    return f"[{','.join(map(str, folders))}]"


def test_from_check_to_export(
    family: Family, adapters: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Adapters among whole models; the base is the one that the adapters name."""
    named = models(*adapters, family.folder / "one")
    changes = {"models": named, "base": None, "evaluations": 6, "confirm.finalists": 1}
    # With candidates enough for the genes, which it would warn of.
    assert main(["check", *family.words(tmp_path / "run", **{**changes, "evaluations": 30})]) == 0
    said = capsys.readouterr().out
    assert (
        f"{adapters[0]}: LoRA adapter, 0.0 M weights that change 8 of 21 tensors, on {family.folder / 'base'}" in said
    )
    assert "warning" not in said
    assert family.search(tmp_path / "run", **changes) == 0
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    wide, narrow, whole = manifest["models"]
    assert wide["on"] == narrow["on"]
    assert wide["on"]["fingerprint"] == open_source(family.folder / "base").fingerprint()
    assert "on" not in whole
    assert len({json.dumps(content) for content in manifest["identity"]["models"]}) == 3
    report = (tmp_path / "run" / "report.md").read_text()
    assert "wide" in report
    run = evomerge.Run(tmp_path / "run")
    names = {evaluation.name for evaluation in run.evaluations("test")}
    assert {"base", "expert:wide", "expert:narrow", "expert:one", "uniform"} <= names
    words = [f"{key}={value}" for key, value in {
        "tasks": "[first]", "task_path": family.folder / "tasks", "items_per_task": 12, "model.threads": 1,
    }.items()]  # fmt: skip
    (wide_test,) = [e for e in run.evaluations("test") if e.name == "expert:wide"]
    assert main(["evaluate", f"model={adapters[0]}", f"out={tmp_path / 'scores.json'}", *words]) == 0
    scores = json.loads((tmp_path / "scores.json").read_text())["metrics"]
    assert scores["first.gold_logprob"] == pytest.approx(wide_test.metrics["first.gold_logprob"], abs=1e-5)
    exported = run.export("knee", tmp_path / "out")
    assert exported.difference <= exported.tolerance
    recipe = Recipe.load(tmp_path / "out" / "recipe.json")
    assert [isinstance(source, AdapterRef) for source in recipe.sources] == [True, True, False]
    assert recipe.known_by_content
    card = (tmp_path / "out" / "README.md").read_text()
    assert "- `wide` (LoRA adapter on `base`;" in card
    assert "- narrow" in card.partition("# out")[0]
    again = evomerge.merge(tmp_path / "out" / "recipe.json", tmp_path / "again")
    assert open_source(again).fingerprint() == open_source(tmp_path / "out").fingerprint()


def test_written_with_a_plus(
    family: Family, adapters: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a base of its own, which the search has as another model; the adapter's folder is told what it is not on."""
    base, other = family.folder / "base", perturbed(family.folder / "base", tmp_path / "other", 7, 0.05)
    words = family.words(tmp_path / "run", models=f"[{other}+{adapters[0]},{adapters[1]}]")
    assert main(["check", "--headers", *words]) == 0
    said = capsys.readouterr().out
    lines = [line for line in said.splitlines() if "LoRA adapter," in line]
    assert [line.rpartition(", on ")[2] for line in lines] == [str(other), str(base)]
    (warning,) = [line for line in said.splitlines() if "base_model_name_or_path" in line]
    assert str(adapters[0]) in warning
    assert str(other) in warning


def test_switched_off_by_kind_of_modules(family: Family, adapters: tuple[Path, Path], tmp_path: Path) -> None:
    """Where no adapter changes anything, nothing is searched; a start from another run's front finds its switches."""
    named, changes = models(*adapters), {"genome.modules": "searched", "evaluations": 8, "confirm.finalists": 0}
    assert family.search(tmp_path / "run", models=named, **changes) == 0
    run = evomerge.Run(tmp_path / "run")
    labels = run.manifest["genome"]["labels"]
    assert [label for label in labels if label.startswith("on[")] == [
        "on[wide] attention", "on[narrow] attention", "on[wide] mlp", "on[narrow] mlp",
    ]  # fmt: skip
    assert not any("head" in label or "norm" in label for label in labels)
    weights = [Recipe.from_json(e.recipe).coefficients["weight"] for e in run.evaluations("search") if e.name is None]
    assert any((weight == 0.0).any() and (weight != 0.0).any() for weight in weights)
    again = {**changes, "start_from": tmp_path / "run"}
    assert family.search(tmp_path / "again", models=named, **again) == 0
    starts = evomerge.Run(tmp_path / "again").manifest["starts"]
    assert any(str(tmp_path / "run") in start for start in starts)


def test_what_is_refused(
    family: Family, adapters: tuple[Path, Path], tmp_path: Path, problems_of: Callable[[Sequence[str]], str]
) -> None:
    """All at once, each with the folder that it is about."""
    base = family.folder / "base"
    strange = lora(base, tmp_path / "strange", 3, base_model_name_or_path=str(tmp_path / "gone"))
    said = problems_of(["check", *family.words("run", models=models(adapters[0], strange), base=None)])
    assert "the adapters name different ones" in said
    said = problems_of(["check", *family.words("run", models=models(strange), base=None)])
    assert "they were trained on" in said
    assert str(tmp_path / "gone") in said
    said = problems_of(["check", *family.words("run", base=strange)])
    assert "is a LoRA adapter" in said
    edit_json(strange / "adapter_config.json", use_qalora=True, r="many")
    said = problems_of(["check", *family.words("run", models=models(adapters[0], strange))])
    assert "use_qalora is set" in said
    assert "r is 'many'" in said
    said = problems_of(["check", *family.words("run", models=f"[{adapters[0]}+{adapters[1]}+x]")])
    assert "expected BASE+ADAPTER" in said
