"""``safety=``: tasks that may not get worse than the base, from the words to the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from evomerge.config import compose
from evomerge.errors import InputError
from evomerge.store import RunStore
from tests.run.family import Family


def test_a_search_keeps_within_points_of_the_base_and_says_what_its_items_can_tell(
    family: Family, tmp_path: Path
) -> None:
    assert family.search(tmp_path / "run", safety="{second: 10}", objectives="[first.acc]", searcher="ga") == 0
    store = RunStore.read(tmp_path / "run")
    (kept,) = store.manifest["constraints"]
    assert (kept["label"], kept["bound"], kept["relative_to"]) == ("second.acc >= base - 0.1", -0.1, "base")
    assert store.manifest["config"]["safety"] == {"second": 10.0}
    warned = [text for text in store.manifest["warnings"] if text.startswith("safety")]
    assert not warned, "12 items tell 10 points where nearly all are right"
    report = (tmp_path / "run" / "report.md").read_text(encoding="utf-8")
    assert "allows less than the standard error of the score that it starts from, 0.1" in report, "but few are"
    same = "['second.acc >= base - 0.1']"
    assert family.search(tmp_path / "run", constraints=same, objectives="[first.acc]", searcher="ga") == 0


def test_too_few_items_for_so_narrow_a_margin_are_told_before_the_search(family: Family, tmp_path: Path) -> None:
    assert family.search(tmp_path / "run", safety="second", objectives="[first.acc]", evaluations=2, searcher="ga") == 0
    (warned,) = [text for text in RunStore.read(tmp_path / "run").manifest["warnings"] if text.startswith("safety")]
    assert "second may lose 1 points, but on 12 search items the standard error of its score is 6.3 points" in warned
    assert warned.endswith("475 items or more would do")


def test_words_that_are_no_points(family: Family, tmp_path: Path, problems_of: Callable[[Sequence[str]], str]) -> None:
    for words, told in (("{second: 200}", "safety: expected"), ("[second,third]", "there is no task 'third'")):
        assert told in problems_of(["search", *family.words(tmp_path / "run", safety=words)])
    assert "is relative to base, and there is none" in problems_of(
        ["search", *family.words(tmp_path / "run", safety="[second]", base=None, method="linear")]
    )
    with pytest.raises(InputError, match="expected"):
        compose.search(family.words(tmp_path / "run", safety="[[second]]"))
