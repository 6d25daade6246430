"""Which items are asked where nothing is said: those that tell candidates apart, and what a run began with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evomerge.cli.main import main
from evomerge.cli.sweep_summary import finished
from evomerge.config import compose
from evomerge.search import AllocationSettings
from evomerge.store import RunStore
from tests.run.family import Family, records


@pytest.mark.parametrize(
    ("given", "pools", "expected"),
    [
        ({}, [21, 5], ("informative", 20, "converging")),
        ({"seed": 7}, [100], ("informative", 20, "converging")),
        ({}, [20, 5], ("fixed", None, "none")),
        ({}, [], ("fixed", None, "none")),
        ({"items": 30}, [100], ("fixed", 30, "none")),
        ({"race": "cut"}, [100], ("fixed", None, "none")),
        ({"proxy": "gold_logprob"}, [100], ("fixed", None, "none")),
        ({"policy": "fixed"}, [100], ("fixed", None, "none")),
        ({"policy": "rotating", "items": 9}, [5], ("rotating", 9, "none")),
    ],
)
def test_a_policy_is_chosen_only_where_nothing_is_set(
    given: dict[str, object], pools: list[int], expected: tuple[str, int | None, str]
) -> None:
    found = AllocationSettings(**given).settled(pools)  # type: ignore[arg-type]
    assert (found.policy, found.items, found.growth) == expected
    assert found.settled([1000]) is found


def test_a_run_that_began_with_all_items_goes_on_with_all(family: Family, tmp_path: Path) -> None:
    run, fresh = tmp_path / "run", tmp_path / "fresh"
    size = {"items_per_task": 24, "searcher": "random", "promote__candidates": 0, "confirm__finalists": 0}
    assert family.search(run, fitness="all", evaluations=6, **size) == 0
    assert "allocation" not in RunStore.read(run).manifest["identity"]
    assert family.search(run, evaluations=12, **size) == 0, "the same search without that word"
    candidates = [record for record in records(run) if record["batch"]]
    assert {record["items"] for record in candidates} == {48}

    assert family.search(fresh, evaluations=12, **size) == 0
    assert RunStore.read(fresh).manifest["identity"]["allocation"]["policy"]["name"] == "informative"
    asked = {record["items"] for record in records(fresh) if record["batch"]}
    assert asked == {40}


def test_what_was_left_to_us_does_not_make_a_sweep_run_a_finished_job_again(family: Family, tmp_path: Path) -> None:
    size = {"items_per_task": 24, "searcher": "random", "promote__candidates": 0, "confirm__finalists": 0}
    words = family.words(tmp_path / "run", genome="auto", evaluations=2, **size)
    assert not finished(compose.search(words))
    assert main(["search", *words]) == 0
    assert finished(compose.search(words))
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    del manifest["config"]["executor"], manifest["config"]["confirm"]["margin"]
    (tmp_path / "run" / "manifest.json").write_text(json.dumps(manifest))
    manifest["config"]["genome"]["depth"] = "layer"  # the default once
    (tmp_path / "run" / "manifest.json").write_text(json.dumps(manifest))
    assert finished(compose.search(words)), "settings that came later have their defaults"
    assert not finished(compose.search([*words, "genome=smooth"]))
    assert not finished(compose.search([*words, "confirm.margin=0.1"]))
