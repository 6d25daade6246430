"""``safety=``: tasks that may not get worse than the base, from the words to the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from evomerge.checkpoints import open_source
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


def test_a_base_that_leaves_nothing_to_lose_is_told_before_and_after(
    family: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a base that fails every item of a task of refusals: here all that it has may be lost."""
    words = {"safety": "{second: 100}", "objectives": "[first.acc]", "evaluations": 2, "searcher": "ga"}
    assert family.search(tmp_path / "run", **words) == 0
    told = "The constraint second.acc >= base - 1 excludes nobody: base scores "
    assert told in capsys.readouterr().err
    report = (tmp_path / "run" / "report.md").read_text(encoding="utf-8")
    assert "excludes nobody: base scores " in report
    assert "Take a base that passes this task, allow less, or write a bound that is not relative" in report


def test_a_base_that_cannot_be_scored_ends_the_search(
    family: Family, tmp_path: Path, problems_of: Callable[[Sequence[str]], str]
) -> None:
    first = next(open_source(family.folder / "base").tensor(name) for name in ["model.embed_tokens.weight"])
    code = (
        "def steady(model, tokenizer):\n"
        f"    if model.get_input_embeddings().weight[0, 0].item() == {float(first[0, 0])!r}:\n"
        "        raise RuntimeError('it says nothing')\n"
        "    return 0.5\n"
    )
    (tmp_path / "mine.py").write_text(code, encoding="utf-8")
    words = {"functions": f"[{tmp_path / 'mine.py'}:steady]", "safety": "{python.steady: 1}", "searcher": "ga"}
    found = problems_of(["search", *family.words(tmp_path / "run", objectives="[first.acc]", **words)])
    assert "constraint 'python.steady >= base - 0.01' is relative to base, but it could not be scored" in found
    assert "it says nothing" in found


def test_words_that_are_no_points(family: Family, tmp_path: Path, problems_of: Callable[[Sequence[str]], str]) -> None:
    missing = "no task 'third' in this run (tasks: first, second); what may not be lost is asked of every candidate"
    for words, told in (("{second: 200}", "safety: expected"), ("[second,third]", missing)):
        assert told in problems_of(["search", *family.words(tmp_path / "run", safety=words)])
    assert "is relative to base, and there is none" in problems_of(
        ["search", *family.words(tmp_path / "run", safety="[second]", base=None, method="linear")]
    )
    with pytest.raises(InputError, match="expected"):
        compose.search(family.words(tmp_path / "run", safety="[[second]]"))
