"""The known points that a search starts from; runs keep those that they began with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evomerge import methods
from evomerge.cli.main import main
from evomerge.config import compose
from evomerge.evaluation import Ask, Evaluation
from evomerge.recipe import Recipe
from evomerge.run.assemble import assemble
from evomerge.run.description.identity import run_identity, worded
from evomerge.run.recipes.starts import SUBSET, by_losses, loss_notes, subset_starts, without_subsets
from evomerge.run.runtime import worker_settings
from evomerge.run.search import prepare, search
from evomerge.statistics import Sensitivities
from evomerge.store import RunStore, identity
from tests.building import perturbed
from tests.run.family import Family


def starts(method: str, count: int, **options: object) -> dict[str, object]:
    declared = methods.load(method)
    found = subset_starts(declared, declared.resolve(options), count)
    return {name: point["weight"] for name, point in found.items()}


def test_three_experts_start_from_each_pair() -> None:
    """Their mean and their sum; where only proportions matter these are one point."""
    assert starts("task_arithmetic", 3) == {
        "subset:0+1:0.5": (0.5, 0.5, 0.0), "subset:0+1:1": (1.0, 1.0, 0.0),
        "subset:0+2:0.5": (0.5, 0.0, 0.5), "subset:0+2:1": (1.0, 0.0, 1.0),
        "subset:1+2:0.5": (0.0, 0.5, 0.5), "subset:1+2:1": (0.0, 1.0, 1.0),
    }  # fmt: skip
    assert starts("linear", 3) == {
        "subset:0+1": (0.5, 0.5, 0.0), "subset:0+2": (0.5, 0.0, 0.5), "subset:1+2": (0.0, 0.5, 0.5),
    }  # fmt: skip


def test_more_experts_have_few_subsets() -> None:
    """Four: the pairs. Five and six: all but one. More, or fewer than three: none."""
    assert list(starts("dare_ties", 4)) == [f"subset:{pair}:1" for pair in ("0+1", "0+2", "0+3", "1+2", "1+3", "2+3")]
    assert starts("task_arithmetic", 5)["subset:0+1+2+4:0.5"] == (0.5, 0.5, 0.5, 0.0, 0.5)
    assert [len(starts("ties", count)) for count in range(1, 9)] == [0, 0, 3, 6, 5, 6, 0, 0]
    assert starts("model_stock", 3) == {}, "it cannot leave an expert out"


def test_subsets_are_points_of_the_method() -> None:
    """Complete, within the bounds."""
    for name in methods.names():
        method = methods.load(name)
        if method.models[1] is not None:
            continue
        options = method.resolve({})
        for count in range(3, 7):
            for point in subset_starts(method, options, count).values():
                declared = method.coefficients(options)
                assert set(point) == {coefficient.name for coefficient in declared}
                for c in declared:
                    value = point[c.name]
                    numbers = value if isinstance(value, Sequence) else (value,)
                    assert len(numbers) == (count if c.per_model else 1)
                    assert all(c.low <= number <= c.high for number in numbers)


@pytest.fixture
def words(family: Family, tmp_path: Path) -> list[str]:
    """A search over three experts."""
    third = perturbed(family.folder / "base", tmp_path / "three", 3)
    models = f"[{family.folder / 'one'},{family.folder / 'two'},{third}]"
    return family.words("left out", models=models, run_dir=None, evaluations=14, genome="model", confirm__finalists=0)


def first_batch(folder: Path) -> list[tuple[float, ...]]:
    evaluations = [e for e in RunStore.read(folder).evaluations("search") if e.batch == 1]
    return [tuple(Recipe.from_json(e.recipe).coefficients["weight"][0].round(9).tolist()) for e in evaluations]


def test_a_search_begins_at_pairs_too(words: list[str], tmp_path: Path) -> None:
    assert main(["search", *words, f"run_dir={tmp_path / 'run'}"]) == 0
    names = RunStore.read(tmp_path / "run").manifest["starts"]
    assert sum(name.startswith(SUBSET) for name in names) == 6
    assert {(0.5, 0.5, 0.0), (1.0, 1.0, 0.0), (0.0, 1.0, 1.0)} <= set(first_batch(tmp_path / "run"))


def test_a_search_begins_at_the_experts_weighted_by_their_losses(family: Family, tmp_path: Path) -> None:
    """The baselines' log-likelihoods of right answers, over the temperature; resuming finds the same."""
    changes = {"start_temperature": 0.5, "confirm.finalists": 0, "genome": "model", "evaluations": 7}
    assert family.search(tmp_path / "run", **changes) == 0
    store = RunStore.read(tmp_path / "run")
    metrics = {e.name: e.metrics for e in store.evaluations("search") if e.batch == 0}
    gain = [metrics[f"expert:{name}"] for name in ("one", "two")]
    logits = [(own["first.gold_logprob"] + own["second.gold_logprob"]) / 2 / 0.5 for own in gain]
    first = 1 / (1 + math.exp(logits[1] - logits[0]))
    assert any(weights == pytest.approx((first, 1 - first)) for weights in first_batch(tmp_path / "run"))
    before = (tmp_path / "run" / "evaluations.jsonl").read_bytes()
    assert family.search(tmp_path / "run", **changes) == 0
    assert (tmp_path / "run" / "evaluations.jsonl").read_bytes() == before


def test_a_start_that_cannot_be_had_is_told(words: list[str]) -> None:
    """Where no task records losses, or the method weighs nobody; such a method's search starts without it."""
    assembly = assemble(compose.search([*words, "start_temperature=5"]))
    assert not [text for text in assembly.warnings if "start_temperature" in text]
    (note,) = loss_notes(assembly.config, assembly.method, assembly.spec, ["own.exact_match"])
    assert "no task records gold_logprob" in note
    stock = assemble(compose.search([*words, "start_temperature=5", "method=model_stock"]))
    assert "start_temperature adds no start: method model_stock takes no weights of models" in stock.warnings
    known = {
        f"expert:{name}": Evaluation(name, {}, Ask("search", 0, 0), metrics={"first.gold_logprob": loss})
        for name, loss in (("one", -1.0), ("two", -2.0), ("three", -3.0))
    }
    assert len(by_losses(assembly.spec, assembly.method, 5.0, known)) == 1
    assert len(by_losses(stock.spec, stock.method, 5.0, known)) == 0


def test_runs_from_before_there_were_subsets_go_on(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In their own folder or in the one that their identity names, with the starts that they began with."""
    monkeypatch.chdir(tmp_path)
    for own in (["run_dir=run"], []):
        ready = prepare(compose.search([*words, "evaluations=8", *own]))
        names, rows = without_subsets(ready.assembly.start_names, ready.assembly.starts)
        assert len(names) < len(ready.assembly.start_names)
        earlier = replace(ready.assembly, start_names=names, starts=rows)
        tasks = ready.assembly.written.fitness.tasks
        plain = worker_settings(ready.assembly, 1)
        plain = replace(plain, fitness=replace(plain.fitness, drafts="off"))  # as before there were any
        untuned, known = (worded(run_identity(earlier, chosen), tasks, None) for chosen in (plain, ready.settings))
        folder = ready.folder if own else ready.folder.parent / identity.digest(untuned)[:12]
        prepared = replace(ready.settings.prepared, folder=str(folder / "prepared"))
        settings = replace(ready.settings, prepared=prepared)
        assert search(replace(ready, assembly=earlier, settings=settings, folder=folder, identity=known)).evaluations
        began = first_batch(folder)
        assert main(["search", *words, *own]) == 0
        manifest = RunStore.read(folder).manifest
        assert manifest["starts"] == list(names)
        assert first_batch(folder)[: len(began)] == began
        assert len([e for e in RunStore.read(folder).evaluations("search") if e.batch]) >= 12


def test_a_search_begins_at_the_experts_weighted_by_sensitivity(family: Family, tmp_path: Path) -> None:
    """Layer by layer and at each temperature; what was measured is kept, and resuming finds the same."""
    changes = {"start_sensitivity": "[0.03,0.1]", "confirm.finalists": 0, "genome": "layer", "evaluations": 9}
    changes |= {"statistics.sequences": 3}
    assert family.search(tmp_path / "run", **changes) == 0
    store = RunStore.read(tmp_path / "run")
    kept = store.read_json("sensitivities.json")
    assert kept is not None
    measured = Sensitivities(tuple(kept["groups"]), np.array(kept["alpha"]), np.array(kept["tau"]))
    rows = [Recipe.from_json(e.recipe) for e in store.evaluations("search") if e.batch == 1]
    for temperature in (0.03, 0.1):
        wanted = 2 * measured.shares(temperature)[:, measured.groups.index("layer 1")]
        labels = [group.label for group in rows[0].groups.groups]
        row = next(place for place, label in enumerate(labels) if label == "layer 1")
        assert any(recipe.coefficients["weight"][row] == pytest.approx(wanted, abs=1e-6) for recipe in rows)
    before = (tmp_path / "run" / "evaluations.jsonl").read_bytes()
    assert family.search(tmp_path / "run", **changes) == 0
    assert (tmp_path / "run" / "evaluations.jsonl").read_bytes() == before
