"""The embedded example gives the scores and proposals that the first release gave, where items are divided as there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evomerge.evaluation import Evaluation
from evomerge.recipe import Recipe
from evomerge.store import RunStore
from tests.apart import Apart
from tests.run.conftest import PROGRAM

# Baselines and four batches of `evomerge search experiment=example`, as format 1 recorded them.
RECORDED = Path(__file__).parents[1] / "fixtures" / "example_search_format_1.jsonl"
# Of the four recorded the first, and proposals of the second, which follow from what the first was told.
BATCH, BEGUN = 16, 4
WORDS = ("experiment=example", f"evaluations={BATCH + BEGUN}", "fitness.split_rule=1", "confirm.finalists=0")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, apart: Apart) -> dict[tuple[int, int], Evaluation]:
    run = tmp_path_factory.mktemp("unchanged") / "run"
    apart.run(PROGRAM, "search", *WORDS, f"run_dir={run}")
    return {(e.ask.batch, e.ask.index): e for e in RunStore.read(run).evaluations("search")}


def test_search_scores_and_proposals_are_those_of_format_1(found: dict[tuple[int, int], Evaluation]) -> None:
    whole = [json.loads(line) for line in RECORDED.read_text(encoding="utf-8").splitlines()]
    recorded = [old for old in whole if old["batch"] <= 1 or (old["batch"] == 2 and old["index"] < BEGUN)]
    assert {(old["batch"], old["index"]) for old in recorded} == set(found)
    same_so_far, batch, rounded = True, 0, []
    for old in recorded:
        new = found[old["batch"], old["index"]]
        if old["batch"] != batch:
            # Proposals follow from what was told; another processor may round an answer to the other side.
            told = [row for row in recorded if row["batch"] == batch]
            same_so_far &= all(_accuracies(row["metrics"]) == _accuracies(_of(found, row).metrics) for row in told)
            batch = old["batch"]
        if same_so_far:
            # A child's genes are powers of random numbers, whose last bits are the processor's.
            rounded.append(Recipe.from_json(new.recipe).as_format_1().digest != old["digest"])
            assert new.name == old["name"]
            assert dict(new.metrics) == pytest.approx(old["metrics"], rel=1e-4, abs=1e-2)
    assert sum(rounded) < len(rounded) / 4
    first = [row for row in recorded if row["batch"] <= 1]
    assert all(Recipe.from_json(_of(found, row).recipe).as_format_1().digest == row["digest"] for row in first)


def _of(found: dict[tuple[int, int], Evaluation], row: dict[str, object]) -> Evaluation:
    return found[int(str(row["batch"])), int(str(row["index"]))]


def _accuracies(metrics: dict[str, float]) -> list[float]:
    return [value for key, value in sorted(metrics.items()) if key.endswith(".acc")]
