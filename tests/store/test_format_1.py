"""Runs of the first release stay readable: the fixture was written by evomerge 0.1.0."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from evomerge.errors import InputError
from evomerge.evaluation import Ask
from evomerge.recipe import Recipe
from evomerge.store import RunStore
from tests.search.analytic import ITEMS, means

OLD = Path(__file__).parents[1] / "fixtures" / "runs_format_1" / "analytic"
ROWS = [json.loads(line) for line in (OLD / "evaluations.jsonl").read_text().splitlines()]


def test_its_evaluations_are_those_of_any_run() -> None:
    store = RunStore.read(OLD)
    found = store.evaluations()
    assert len(found) == len(ROWS) == 4 + 9 + 4 + 2
    for evaluation, row in zip(found, ROWS, strict=True):
        assert evaluation.ask == Ask(row["split"], row["batch"], row["index"])
        assert (evaluation.digest, evaluation.name, evaluation.items) == (row["digest"], row["name"], row["items"])
        assert (evaluation.metrics, evaluation.recipe) == (row["metrics"], row["recipe"])
        assert (evaluation.error and evaluation.error.to_json()) == row["error"]
        assert (evaluation.variant, evaluation.told, evaluation.parents) == ("", None, ())
        assert store.provenance(evaluation).seconds == row["seconds"]
        assert Recipe.from_json(evaluation.recipe).digest == evaluation.digest, "digests have not changed"
    assert any(evaluation.error for evaluation in found)


def test_its_responses_are_found_by_item_and_fold_to_its_metrics() -> None:
    store = RunStore.read(OLD)
    for evaluation in store.evaluations():
        responses = store.responses(evaluation)
        if evaluation.error is not None:
            assert responses == []
            continue
        assert means(responses) == pytest.approx(evaluation.metrics, abs=0)
        known, missing = store.find(evaluation.digest, ITEMS[evaluation.split])
        assert (known, missing) == (responses, {})
        assert store.items(evaluation) == ITEMS[evaluation.split]
    assert store.find(ROWS[0]["digest"], {"north": ("n0", "elsewhere")})[1] == {"north": ("elsewhere",)}


def test_a_run_whose_manifest_names_no_items_has_its_responses_all_the_same(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(OLD, tmp_path / "run"))
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["items"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    whole, store = RunStore.read(OLD), RunStore.read(folder)
    for evaluation, same in zip(store.evaluations(), whole.evaluations(), strict=True):
        assert store.responses(evaluation) == whole.responses(same)
        assert store.items(evaluation) == {}


def test_it_is_not_gone_on_with_and_left_as_it_is(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(OLD, tmp_path / "run"))
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    RunStore.read(folder)
    with pytest.raises(InputError, match=r"run of format 1, made by an earlier version .* choose another run_dir"):
        RunStore.open(folder, {}, {"seed": 2})
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
