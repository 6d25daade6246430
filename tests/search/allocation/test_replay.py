"""Searches with windows and races replay from any record on, and a kill within a rung leaves no trace."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from evomerge import executors
from evomerge.search import run, searchers
from evomerge.store import RunStore
from tests.search.killing import ALLOCATIONS, Blow, process, search_plan, worker_of
from tests.search.test_kill import records, tmp_path

__all__ = ["tmp_path"]

# The second rung of a batch, and survivors asked again; then between batches, and in the promotion.
BLOWS = [Blow("record:search", 17, 0.5), Blow("responses:search", 9, 1.0), Blow("ask", 3), Blow("record:test", 2, 1.0)]
RATIONED = [Blow("record:selection", 9, 0.5), Blow("responses:selection", 3, 1.0), Blow("record:selection", 2, 1.0)]
FILES = ("evaluations.jsonl", "estimates.json", "selection_estimates.json")


def search(folder: Path, name: str, evaluations: int = 26) -> None:
    with RunStore.open(folder, {"searcher": name}, {"searcher": name}) as store:
        run(search_plan(name, evaluations), executors.make("local", worker_of(name)), store)


def cut(whole: Path, torn: Path, lines: int) -> None:
    """A copy of a run that was killed when so many lines of its records were on disk."""
    shutil.rmtree(torn, ignore_errors=True)
    shutil.copytree(whole, torn)
    kept = (whole / "records" / "main.jsonl").read_bytes().splitlines(keepends=True)[:lines]
    (torn / "records" / "main.jsonl").write_bytes(b"".join(kept))


def same(one: Path, other: Path) -> bool:
    return all(content(one / name) == content(other / name) for name in FILES)


def content(path: Path) -> bytes | None:
    """A file's bytes; None where a run writes none."""
    return path.read_bytes() if path.exists() else None


@pytest.mark.parametrize(
    "name", ["nsga2+raced", "cmaes+halved", pytest.param("nsga2+estimated", marks=pytest.mark.slow)]
)
def test_a_search_killed_within_a_rung_ends_as_an_undisturbed_one(name: str, tmp_path: Path) -> None:
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    search(whole, name)
    blows = {"nsga2+raced": BLOWS, "cmaes+halved": BLOWS[::2], "nsga2+estimated": [*BLOWS[:3], *RATIONED, BLOWS[3]]}
    for blow in blows[name]:
        assert process(torn, name, blow=blow) == -9, f"{blow} never struck"
    assert process(torn, name) == 0
    assert records(torn) == records(whole)
    assert same(torn, whole)
    assert max(row["rung"] for row in records(whole)) >= 1


@pytest.mark.parametrize("name", ["cmaes+rotating", "pso+rotating", "nsga2+estimated"])
def test_a_search_with_windows_replays_from_where_it_was_cut(name: str, tmp_path: Path) -> None:
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    search(whole, name)
    count = len((whole / "records" / "main.jsonl").read_bytes().splitlines())
    for lines in (count - 1, count // 2):
        cut(whole, torn, lines)
        search(torn, name)
        assert same(torn, whole)


@pytest.mark.slow
@pytest.mark.parametrize("allocation", ALLOCATIONS)
@pytest.mark.parametrize("name", [name for name in searchers.names() if not searchers.load(name).items])
def test_a_search_with_windows_replays_from_every_record(name: str, allocation: str, tmp_path: Path) -> None:
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    search(whole, f"{name}+{allocation}")
    count = len((whole / "records" / "main.jsonl").read_bytes().splitlines())
    assert count > 40
    for lines in range(count):
        cut(whole, torn, lines)
        search(torn, f"{name}+{allocation}")
        assert same(torn, whole), f"after {lines} of {count} lines"


@pytest.mark.parametrize("name", ["nsga2+raced", "pso+rotating"])
def test_an_extended_search_with_windows_had_the_budget_from_the_start(name: str, tmp_path: Path) -> None:
    search(tmp_path / "once", name, 37)
    for evaluations in (3, 21, 37):
        search(tmp_path / "often", name, evaluations)
    once, often = (
        [row for row in records(tmp_path / folder) if row["split"] == "search"] for folder in ("once", "often")
    )
    assert often == once
    assert len({row["digest"] for row in once if row["name"] is None}) >= 37
    estimates = [json.loads((tmp_path / folder / "estimates.json").read_text()) for folder in ("once", "often")]
    assert estimates[0] == estimates[1]
