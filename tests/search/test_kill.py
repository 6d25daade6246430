"""A search killed by SIGKILL, at any instant and often, ends with the records of one that was never disturbed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evomerge.search import searchers
from evomerge.store import RunStore
from tests.search.killing import Blow, process
from tests.search.sessions import memory

# One run is killed at every blow in turn, then left to finish.
BEGINNING = [Blow("item_set:search", 1, 0.5), Blow("responses:search", 1, 1.0)]
WITHIN_A_BATCH = [Blow("record:search", 2, 1.0), Blow("responses:search", 7, 0.5), Blow("record:search", 5, 0.0)]
WITHIN_A_RECORD = [Blow("record:search", 3, 0.5), Blow("record:search", 1, 0.999), Blow("record:search", 4, 0.01)]
BETWEEN_BATCHES = [Blow("ask", 1), Blow("ask", 3), Blow("ask", 4)]
SELECTION = [Blow("record:selection", 2, 0.5), Blow("responses:selection", 4, 1.0), Blow("record:selection", 1, 1.0)]
CONFIRMATION = [Blow("item_set:test", 1, 1.0), Blow("responses:test", 2, 0.5), Blow("record:test", 3, 1.0)]
EVERYWHERE = [
    *BEGINNING, *WITHIN_A_BATCH, *BETWEEN_BATCHES[:2], *WITHIN_A_RECORD, BETWEEN_BATCHES[2], *SELECTION, *CONFIRMATION,
]  # fmt: skip
# A process takes seconds, and each of these tests starts several, which import PyTorch for the model of gp.
# A process that imports pyribs takes seconds for that alone.
LONG = ("cma_me", "gp")
NAMES = [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in searchers.names()]
# What the store and the loop do about a kill depends on no searcher; what a searcher was told before it, on its own.
BLOWS = {name: [WITHIN_A_BATCH[0], BETWEEN_BATCHES[1], CONFIRMATION[2]] for name in searchers.names()}
BLOWS["cmaes"].insert(2, SELECTION[1])  # where what it recommends is compared
BLOWS["nsga2"] = EVERYWHERE


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What a killed process has written is there for others on any disk."""
    with memory(tmp_path_factory.mktemp("kill")) as folder:
        yield folder


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    """The folder of a searcher's run that nothing has happened to; it is made once and only looked at."""
    with memory(tmp_path_factory.mktemp("whole")) as folder:

        def made(name: str) -> Path:
            if not (folder / name).exists():
                assert process(folder / name, name) == 0
            return folder / name

        yield made


def records(folder: Path) -> list[dict[str, Any]]:
    """The folded records with the content of their responses."""
    store = RunStore.read(folder)
    rows = [json.loads(line) for line in (folder / "evaluations.jsonl").read_text().splitlines()]
    assert len(rows) == len(store.evaluations())
    for row, evaluation in zip(rows, store.evaluations(), strict=True):
        row["responses"] = [response.to_json() for response in store.responses(evaluation)]
    return rows


def is_recommended(row: dict[str, Any]) -> bool:
    """Whether a record is of what the searcher did not propose but recommend."""
    return any(parent.startswith("recommended:") for parent in row["parents"])


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_search_ends_as_an_undisturbed_one(
    name: str, undisturbed: Callable[[str], Path], tmp_path: Path
) -> None:
    whole, torn = undisturbed(name), tmp_path / "torn"
    wanted = records(whole)
    for blow in BLOWS[name]:
        assert process(torn, name, blow=blow) == -9, f"{blow} never struck"
    assert process(torn, name) == 0
    assert records(torn) == wanted
    folded = [(folder / "evaluations.jsonl").read_bytes() for folder in (whole, torn)]
    assert folded[0] == folded[1]
    status = [json.loads((folder / "status.json").read_text()) for folder in (whole, torn)]
    for report in status:
        del report["seconds"]
    assert status[0] == status[1]
    searched = [row for row in wanted if row["split"] == "search" and row["batch"] > 0]
    assert sum(not is_recommended(row) for row in searched) == 26
    assert sum(map(is_recommended, searched)) == (name == "cmaes")
    assert any(row["error"] for row in searched), "failed candidates are part of the test"
    assert any(row["metrics"].get("south.loss", 0.0) > 0.12 for row in searched), "and infeasible ones"


@pytest.mark.parametrize("name", NAMES)
def test_a_search_cut_anywhere_replays(name: str, undisturbed: Callable[[str], Path], tmp_path: Path) -> None:
    """Records lost from the end, one, half, or all of them, come back the same."""
    run = shutil.copytree(undisturbed(name), tmp_path / "run")
    wanted = records(run)
    log = run / "records" / "main.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    for kept in (len(lines) - 1, len(lines) // 2, 0):
        log.write_bytes(b"".join(lines[:kept]))
        assert process(run, name) == 0
        assert records(run) == wanted


@pytest.mark.parametrize("name", NAMES)
def test_an_extended_search_is_one_that_had_the_budget_from_the_start(name: str, tmp_path: Path) -> None:
    """Budgets that end within the first batch, within a later one, and in the end."""
    assert process(tmp_path / "once", name, 37) == 0
    for evaluations in (3, 21, 37):
        assert process(tmp_path / "often", name, evaluations) == 0
        searched = [row for row in records(tmp_path / "often") if row["split"] == "search" and row["batch"] > 0]
        assert sum(not is_recommended(row) for row in searched) == evaluations
    once, often = (
        [row for row in records(tmp_path / folder) if row["split"] == "search"] for folder in ("once", "often")
    )
    ended = once[-1]["batch"] - 1  # the last batch is cut, and not told
    earlier = [row for row in often if is_recommended(row) and row["batch"] < ended]
    assert [row for row in often if row not in earlier] == once, "but for what was recommended where it ended before"
    assert len(earlier) == (name == "cmaes"), "of the three ends the first is within the first batch"
