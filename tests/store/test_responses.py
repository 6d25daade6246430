"""Answers are kept by item: a recipe may be asked again for other items, and never twice for the same one."""

from __future__ import annotations

from pathlib import Path

import pytest

from evomerge.evaluation import Ask, Evaluation, Failure, Response
from evomerge.store import RunStore
from tests.store.test_store import answers, evaluation, opened


def test_an_evaluation_folds_what_was_known_and_what_came(tmp_path: Path) -> None:
    asked = {"t": ("i0", "i1", "i2", "i3")}
    with opened(tmp_path) as store:
        first = store.append(evaluation("a", 1, 0), answers(["i0", "i2"]))
        second = store.append(Evaluation("a", {}, Ask("search", 1, 0, 1)), answers(["i1", "i3"]), items=asked)
        third = store.append(Evaluation("a", {}, Ask("search", 1, 0, 2)), (), items={"t": ("i3", "i0")})
    store = RunStore.read(tmp_path)
    assert [e.items for e in (first, second, third)] == [2, 4, 2]
    assert store.responses(first) == answers(["i0", "i2"])
    assert store.responses(second) == answers(asked["t"])
    assert store.responses(third) == answers(["i3", "i0"])
    assert store.provenance(third).responses is None, "nothing had to be asked"
    found = store.lookup("a", "search")
    assert found is not None
    assert found.ask.rung == 1, "the evaluation with the most items"


def test_an_item_is_never_answered_twice(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.append(evaluation("a", 1, 0), answers(["i0"]))
        with pytest.raises(ValueError, match="already answered some of the items"):
            store.append(evaluation("a", 1, 1), answers(["i0", "i1"]))
        with pytest.raises(ValueError, match="already answered some of the items"):
            store.append(evaluation("b", 1, 1), answers(["i0", "i0"]))
        with pytest.raises(ValueError, match=r"has no answer to 1 items that number 1 of batch 1 \(search\) asked"):
            store.append(evaluation("a", 1, 1), (), items={"t": ("i0", "i1")})
        failed = Evaluation("b", {}, Ask("search", 1, 1), error=Failure("oom", "none"))
        assert store.append(failed, (), items={"t": ("i0", "i1")}).items == 2


def test_a_function_of_the_model_is_a_response_and_no_item(tmp_path: Path) -> None:
    value = Response("python", "", {"spread": 0.5})
    with opened(tmp_path) as store:
        kept = store.append(evaluation("a", 1, 0), [*answers(), value])
        assert kept.items == 2
        assert store.find("a", {"python": ("",), "t": ("i5",)}) == ([value], {"t": ("i5",)})


def test_responses_whose_record_was_lost_do_not_exist(tmp_path: Path) -> None:
    """A process killed between the two writes leaves complete responses; the next one asks these items again."""
    with opened(tmp_path) as store:
        store.append(evaluation("a", 0, 0), answers())
    with (tmp_path / "responses" / "main.jsonl").open("ab") as file:
        file.write(b'{"task": "t", "item": "i0", "metrics": {}}\n{"task": "t", "item": "i1", "metrics": {}}\n{"task":')
    with opened(tmp_path) as store:
        assert store.find("b", {"t": ("i0", "i1")}) == ([], {"t": ("i0", "i1")})
        kept = store.append(evaluation("b", 0, 1), answers())
        assert store.responses(kept) == answers()
        assert store.find("a", {"t": ("i0", "i1")}) == (answers(), {})
