"""Recipes of kept evaluations lie on disk and are read when they are wanted."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from evomerge.errors import InputError
from evomerge.evaluation import Ask, Evaluation, Response
from evomerge.store import RunStore
from evomerge.store.recipe_texts import StoredText

RECIPES = [
    {"method": "ties", "note": f'é{i} a key like ,"recipe":{{ in a text', "long": "x" * 200_000} for i in range(4)
]


def kept(store: RunStore) -> list[Evaluation]:
    """One evaluation of each recipe, and between them lines of another kind."""
    found = []
    for index, recipe in enumerate(RECIPES):
        evaluation = Evaluation(f"{index}", recipe, Ask("search", 1, index), metrics={"t.acc": 0.5})
        found.append(store.append(evaluation, [Response("t", "i0", {"acc": 1.0}, (-1.5,))]))
        store.asked(Ask("search", 2, index), f"é{index}")
    return found


def test_they_are_what_was_kept_wherever_they_lie_in_the_file(tmp_path: Path) -> None:
    with RunStore.open(tmp_path / "run", {}, {}) as store:
        made = kept(store)
        assert [one.recipe for one in reversed(made)] == RECIPES[::-1]
    read = RunStore.read(tmp_path / "run").evaluations()
    for evaluations in (made, read):
        assert all(isinstance(one.recipe, StoredText) for one in evaluations), "none is held in memory"
        assert [one.recipe for one in evaluations] == RECIPES
        assert [pickle.loads(pickle.dumps(one)).recipe for one in evaluations] == RECIPES


def test_a_file_that_is_gone_or_another_is_named(tmp_path: Path) -> None:
    with RunStore.open(tmp_path / "run", {}, {}) as store:
        first, *_, last = kept(store)
    path = tmp_path / "run" / "records" / "main.jsonl"
    path.write_bytes(path.read_bytes()[100:])
    with pytest.raises(InputError, match=r"main\.jsonl, \d+ bytes from \d+, is damaged"):
        len(first.recipe)
    path.unlink()
    with pytest.raises(InputError, match=r"main\.jsonl cannot be read: No such file.*from a copy"):
        len(last.recipe)


def test_a_folder_that_was_named_from_here_is_found_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with RunStore.open("run", {}, {}) as store:
        made = kept(store)
    read = RunStore.read("run")
    found = read.evaluations()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert [one.recipe for one in (*made, *found)] == RECIPES * 2
    assert [one.item for one in read.responses(found[0])] == ["i0"]
