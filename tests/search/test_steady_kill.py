"""Asynchronous searches killed by SIGKILL: what was told stays told, in its order, and the rest follows from it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from evomerge.evaluation import Ask
from evomerge.search import run
from evomerge.store import RunStore
from evomerge.store.turns import Turn
from tests.search.killing import Blow, process, search_plan, worker_of
from tests.search.sessions import memory
from tests.search.shuffled import Shuffled
from tests.search.test_kill import is_recommended, records

NAME, AT_WORK = "nsga2@4", 4
# In the line of an ask, before and after it; in a record, before the line of the next ask and after it; in between.
BLOWS = [
    Blow("turn:search", 1, 0.0),
    Blow("turn:search", 2, 0.5),
    Blow("record:search", 2, 1.0),
    Blow("turn:search", 6, 1.0),
    Blow("responses:search", 3, 1.0),
    Blow("record:search", 3, 0.5),
    Blow("ask", 9),
    Blow("record:search", 4, 1.0),
    Blow("record:test", 2, 0.5),
]


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with memory(tmp_path_factory.mktemp("steady")) as folder:
        yield folder


def lines(folder: Path) -> list[bytes]:
    """The whole lines of the records."""
    log = folder / "records" / "main.jsonl"
    return [line for line in log.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")] if log.exists() else []


def came(folder: Path) -> list[Ask]:
    return [turn.ask for turn in RunStore.read(folder).turns if turn.digest is None]


def undisturbed(folder: Path, name: str, order: list[Ask], evaluations: int = 26) -> None:
    """The search of a process that nobody killed, whose answers come in an order."""
    with RunStore.open(folder, {"searcher": name}, {"searcher": name}) as store:
        run(search_plan(name, evaluations), Shuffled(worker_of(name), AT_WORK, order), store)


def compare(torn: Path, whole: Path, name: str) -> None:
    """A killed search and one that was never disturbed, whose answers came in the same order."""
    undisturbed(whole, name, came(torn))
    assert records(torn) == records(whole)
    assert (torn / "evaluations.jsonl").read_bytes() == (whole / "evaluations.jsonl").read_bytes()
    assert list(RunStore.read(torn).turns) == list(RunStore.read(whole).turns)


@pytest.mark.parametrize("blows", [BLOWS[1::2], pytest.param(BLOWS, marks=pytest.mark.slow)], ids=["some", "all"])
def test_killed_anywhere_it_ends_as_one_of_that_order_that_nobody_disturbed(blows: list[Blow], tmp_path: Path) -> None:
    torn, before = tmp_path / "torn", list[bytes]()
    for blow in blows:
        assert process(torn, NAME, blow=blow) == -9, f"{blow} never struck"
        now = lines(torn)
        assert now[: len(before)] == before, f"{blow}: what was recorded is there, in its order"
        before = now
    assert process(torn, NAME) == 0
    assert lines(torn)[: len(before)] == before
    compare(torn, tmp_path / "whole", NAME)
    searched = [row for row in records(torn) if row["split"] == "search" and row["batch"] > 0]
    assert len(searched) == 26
    assert any(row["error"] for row in searched), "failed candidates are part of the test"
    assert came(torn) != sorted(came(torn), key=lambda ask: ask.order)


@pytest.mark.slow
def test_a_run_cut_anywhere_repeats_what_is_left_and_goes_on(tmp_path: Path) -> None:
    """A beginning of the records is a run that was never further: here with the order that it had before."""
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    assert process(whole, NAME) == 0
    kept, order = lines(whole), came(whole)
    undisturbed(tmp_path / "again", NAME, order)
    for count in (0, 5, len(kept) // 2, len(kept) - 1):
        undisturbed(torn, NAME, order)
        (torn / "records" / "main.jsonl").write_bytes(b"".join(lines(torn)[:count]))
        undisturbed(torn, NAME, order)
        assert records(torn) == records(whole), f"after {count} of {len(kept)} lines"


def test_a_kill_between_an_evaluation_and_what_follows_leaves_its_turn(tmp_path: Path) -> None:
    """The record is the turn: no line has to follow it."""
    assert process(tmp_path, NAME, blow=Blow("record:search", 4 + 3, 1.0)) == -9
    turns = list(RunStore.read(tmp_path).turns)
    assert lines(tmp_path)[-1].startswith(b'{"evaluation"')
    assert turns[-1] == Turn(turns[-1].ask)
    assert sum(turn.digest is None for turn in turns) == 3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ga@4", "nsga3@4", "random@4", "smsemoa@4"])
def test_kills_at_any_instant_of_any_searcher(name: str, tmp_path: Path) -> None:
    chance, torn, before, struck = random.Random(name), tmp_path / "torn", list[bytes](), 0
    while struck < 20:
        what = chance.choice(["turn:search", "record:search", "responses:search", "ask"])
        code = process(torn, name, evaluations=60, blow=Blow(what, chance.randint(1, 6), chance.random()))
        assert lines(torn)[: len(before)] == before
        before = lines(torn)
        if code == 0:
            break
        assert code == -9
        struck += 1
    assert struck >= 10
    assert process(torn, name, evaluations=60) == 0
    undisturbed(tmp_path / "whole", name, came(torn), 60)
    assert [row for row in records(torn) if not is_recommended(row)] == records(tmp_path / "whole")
