"""Runs of the first release stay readable: the fixtures were written by evomerge 0.1.0."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from evomerge.errors import InputError
from evomerge.evaluation import Ask
from evomerge.recipe import Recipe
from evomerge.store import RunStore
from tests.search.analytic import means

RUNS = sorted(
    path.parent for path in (Path(__file__).parents[1] / "fixtures" / "runs_format_1").glob("*/manifest.json")
)
EVERY = pytest.mark.parametrize("run", RUNS, ids=lambda path: path.name)


@EVERY
def test_its_evaluations_are_those_of_any_run(run: Path) -> None:
    store = RunStore.read(run)
    rows = {}
    for line in (run / "records" / "main.jsonl").read_text().splitlines():
        row = json.loads(line)
        rows[Ask(row["split"], row["batch"], row["index"])] = row
    found = store.evaluations()
    assert [e.ask for e in found] == sorted(rows, key=lambda ask: ask.order)
    for evaluation in found:
        row = rows[evaluation.ask]
        assert (evaluation.digest, evaluation.name, evaluation.items) == (row["digest"], row["name"], row["items"])
        assert (evaluation.metrics, evaluation.recipe) == (row["metrics"], row["recipe"])
        assert (evaluation.error and evaluation.error.to_json()) == row["error"]
        assert (evaluation.variant, evaluation.told, evaluation.parents) == ("", None, ())
        assert store.provenance(evaluation).seconds == row["seconds"]
        assert Recipe.from_json(evaluation.recipe).digest == evaluation.digest, "digests have not changed"


@EVERY
def test_its_responses_are_found_by_item_and_fold_to_its_metrics(run: Path) -> None:
    store = RunStore.read(run)
    for evaluation in store.evaluations():
        responses = store.responses(evaluation)
        if evaluation.error is not None:
            assert responses == []
            continue
        folded = means(responses)
        assert folded
        assert folded == pytest.approx({key: evaluation.metrics[key] for key in folded})
        asked = store.items(evaluation)
        assert asked == {task: tuple(ids) for task, ids in store.manifest["items"][evaluation.split].items()}
        assert store.find(evaluation.digest, asked) == (responses, {})
        assert store.find(evaluation.digest, {"elsewhere": ("x",)}) == ([], {"elsewhere": ("x",)})


def test_a_run_whose_manifest_names_no_items_has_its_responses_all_the_same(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(RUNS[0], tmp_path / "run"))
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["items"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    whole, store = RunStore.read(RUNS[0]), RunStore.read(folder)
    for evaluation, same in zip(store.evaluations(), whole.evaluations(), strict=True):
        assert store.responses(evaluation) == whole.responses(same)
        assert store.items(evaluation) == {}


def test_it_is_not_gone_on_with_and_left_as_it_is(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(RUNS[0], tmp_path / "run"))
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    identity = RunStore.read(folder).manifest["identity"]
    with pytest.raises(InputError, match=r"run of format 1, made by an earlier version .* choose another run_dir"):
        RunStore.open(folder, {}, identity)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
