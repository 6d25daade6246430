"""A run from its command to its report: what is scored, in what order, and that it repeats."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from evomerge import Run
from evomerge.config import compose
from evomerge.evaluation import Evaluation
from evomerge.recipe import Recipe
from evomerge.run.assemble import assemble
from evomerge.run.search import aggregate
from evomerge.store import RunStore
from tests.run.family import Family, answers, records, write_task


def test_a_run_leaves_everything_the_readme_names(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names >= {
        "manifest.json", "records", "responses", "evaluations.jsonl", "item_sets.jsonl", "events.jsonl", "items.json",
        "status.json", "known_answers.json",
        "report.html", "report.md", "front.json", "front.csv", "front.png",
    }  # fmt: skip
    assert json.loads((finished / "status.json").read_text())["finished"] is True


def test_baselines_come_first_on_the_same_items(finished: Path) -> None:
    found = records(finished)
    assert [e["name"] for e in found[:4]] == ["base", "expert:one", "expert:two", "uniform"]
    assert {e["items"] for e in found} == {24}
    store = RunStore.read(finished)
    for split in ("search", "selection", "test"):
        asked = {tuple((r.task, r.item) for r in store.responses(e)) for e in store.evaluations(split)}
        assert len(asked) == 1
    tested = store.evaluations("test")
    assert [e.name for e in tested[:4]] == ["base", "expert:one", "expert:two", "uniform"]
    assert len(tested) > 4


def test_metrics_are_the_fold_of_the_responses_that_are_kept(family: Family, tmp_path: Path) -> None:
    """Bit for bit, for every split, functions of the whole model included; these are called once for each recipe."""
    run = tmp_path / "run"
    calls = tmp_path / "calls.txt"
    (tmp_path / "mine.py").write_text(
        f"def norm(model, tokenizer):\n"
        f"    open({str(calls)!r}, 'a').write('x')\n"
        f"    return float(sum(p.double().norm() for p in model.parameters()))\n"
    )
    functions = f"[{tmp_path / 'mine.py'}:norm]"
    assert family.search(run, evaluations=9, functions=functions, objectives="[first.acc,python.norm]") == 0
    suite = assemble(compose.search(family.words(run, functions=functions))).suite
    store = RunStore.read(run)
    found = store.evaluations()
    assert {e.split for e in found} == {"search", "selection", "test"}
    for evaluation in found:
        responses = store.responses(evaluation)
        assert aggregate(suite, responses) == evaluation.metrics
        assert [r.key for r in responses if r.task == "python"] == [("python", "")]
        assert len(responses) == evaluation.items + 1
    assert len(calls.read_text()) == len({e.digest for e in found})


def test_a_metric_that_fails_for_every_baseline_ends_the_run_at_once(
    family: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text("def third(model, tokenizer):\n    return [1.0, 2.0][2]\n")
    changes = {"functions": f"[{tmp_path / 'mine.py'}:third]", "objectives": "[first.acc,python.third]"}
    assert family.search(tmp_path / "run", **changes) == 1
    said = capsys.readouterr().err
    assert "all 4 baselines failed for the same reason" in said
    assert "python.third (mine.py:2) raised IndexError: list index out of range" in said
    assert RunStore.read(tmp_path / "run").evaluations() == []
    (tmp_path / "mine.py").write_text("def third(model, tokenizer):\n    return 1.0\n")
    assert family.search(tmp_path / "run", **changes) == 2, "another function is another run"


def test_splits_share_no_item(finished: Path) -> None:
    items = RunStore.read(finished).manifest["items"]
    for task in ("first", "second"):
        ids = [item for split in ("search", "selection", "test") for item in items[split][task]]
        assert len(ids) == len(set(ids)) > 0


def test_the_initial_population_holds_the_known_points(finished: Path) -> None:
    store = RunStore.read(finished)
    first = [Recipe.from_json(e.recipe) for e in store.evaluations("search") if e.batch == 1]
    weights = [tuple(recipe.coefficients["weight"][0]) for recipe in first]
    assert store.manifest["starts"] == ["uniform", "model:0", "model:1", "task_arithmetic:0.3", "task_arithmetic:0.7"]
    for expected in ((0.5, 0.5), (1.0, 0.0), (0.0, 1.0), (0.3, 0.3), (0.7, 0.7)):
        assert any(w == pytest.approx(expected) for w in weights), expected


def halves(evaluation: Evaluation) -> bool:
    weights = Recipe.from_json(evaluation.recipe).coefficients["weight"]
    return bool((abs(weights - 0.5) < 1e-9).all())


def test_the_encoded_average_scores_exactly_as_the_average(finished: Path) -> None:
    """Base plus half of each delta and the mean of the experts are one model up to rounding to bfloat16."""
    store = RunStore.read(finished)
    uniform = next(e for e in store.evaluations("search") if e.name == "uniform")
    encoded = next(e for e in store.evaluations("search") if e.name is None and halves(e))
    for old, new in zip(store.responses(uniform), store.responses(encoded), strict=True):
        assert new.logprobs == pytest.approx(old.logprobs, abs=0.2)


def test_nothing_is_scored_twice(finished: Path) -> None:
    keys = [(e["digest"], e["split"]) for e in records(finished)]
    assert len(keys) == len(set(keys))


def test_two_processes_give_the_same_records(family: Family, finished: Path, tmp_path: Path) -> None:
    assert family.search(tmp_path / "run", executor="processes", executor__workers=2) == 0
    assert records(tmp_path / "run") == records(finished)
    assert answers(tmp_path / "run") == answers(finished)


def test_a_task_that_reseeds_every_generator_changes_nothing(own_family: Family, tmp_path: Path) -> None:
    folder = own_family.folder / "tasks"
    for name, hostile in (("calm", False), ("hostile", True)):
        shutil.rmtree(folder)
        folder.mkdir()
        write_task(folder, "first", 10, hostile=hostile)
        assert own_family.search(tmp_path / name, tasks="[first]", searcher="cmaes", objectives="[first.acc]") == 0
    calm, hostile_records = records(tmp_path / "calm"), records(tmp_path / "hostile")
    assert [e["recipe"] for e in calm] == [e["recipe"] for e in hostile_records]
    assert [e["metrics"]["first.acc"] for e in calm] == [e["metrics"]["first.acc"] for e in hostile_records]


def test_a_finished_run_is_extended_by_a_larger_budget(family: Family, tmp_path: Path) -> None:
    for budget in (7, 15):
        assert family.search(tmp_path / "grown", genome="layer", evaluations=budget) == 0
    assert family.search(tmp_path / "whole", genome="layer", evaluations=15) == 0
    grown, whole = ([e for e in records(tmp_path / run) if e["split"] == "search"] for run in ("grown", "whole"))
    assert grown == whole
    assert sum(e["name"] is None for e in grown) == 15


def test_what_the_search_says_of_a_cut_batch_an_empty_front_and_more_records_than_budget(
    family: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = {"tasks": "[first]", "searcher": "ga", "constraints": "['first.acc >= 1.5']", "searcher.population": 6}
    assert family.search(tmp_path / "run", evaluations=7, **changes) == 0
    printed = capsys.readouterr()
    assert "7 candidates scored in 2 batches, the last one cut by the budget (stopped by: evaluations)" in printed.out
    assert "no candidate meets the constraints; the nearest, " in printed.out
    assert "misses first.acc >= 1.5 by " in printed.out
    assert "are stored" not in printed.err
    assert json.loads((tmp_path / "run" / "status.json").read_text())["batches"] == 1
    assert family.search(tmp_path / "run", evaluations=1, **changes) == 0
    printed = capsys.readouterr()
    assert "1 candidate scored in 1 batch, cut by the budget" in printed.out
    assert "7 candidates are stored; the report shows the first 1," in printed.err


def test_a_search_starts_from_another_runs_front(family: Family, tmp_path: Path) -> None:
    finished, run = tmp_path / "first", tmp_path / "next"
    assert family.search(finished, genome="layer") == 0
    assert (
        family.search(run, start_from=finished, seed=5, evaluations=20, genome="layer", genome__split_kinds="true") == 0
    )
    members = [Recipe.from_json(member.recipe) for member in Run(finished).front]
    store = RunStore.read(run)
    named = [name for name in store.manifest["starts"] if name.startswith(str(finished))]
    assert len(named) == len(members)
    first = [Recipe.from_json(e.recipe) for e in store.evaluations("search") if e.batch == 1]
    tensor = "model.layers.1.mlp.up_proj.weight"
    for member in members:
        wanted = member.coefficients["weight"][member.groups.index(tensor)]
        assert any(r.coefficients["weight"][r.groups.index(tensor)] == pytest.approx(wanted) for r in first)


def test_patterns_and_the_layer_pattern_are_the_users_to_change(family: Family, tmp_path: Path) -> None:
    changes = {"patterns": "[[other,'down_proj']]", "genome.own_groups": "[embedding,norm,head,other]"}
    assert family.search(tmp_path / "run", evaluations=6, **changes) == 0
    member = Recipe.from_json(Run(tmp_path / "run").front[0].recipe)
    assert member.groups.place("model.layers.1.mlp.down_proj.weight").kind == "other"
    assert member.groups.place("model.layers.1.mlp.up_proj.weight").kind == "mlp"
    labels = [group.label for group in member.groups.groups]
    assert "other" in labels
