"""Marks and intervals where items belong together, and where truncation may be all that differs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evomerge.analysis import paired_difference
from evomerge.report import write
from evomerge.report.caveats import warnings
from evomerge.report.facts import Facts
from evomerge.report.members import BEATS, SAME, TRUNCATED, WORSE, front_members
from evomerge.report.results import Results
from evomerge.store import RunStore, described_items
from tests.report.run_folders import Scenario, Task, acc, write_run

LABEL = "gen.exact_match,strict-match"
SMALL = Scenario(
    tasks=(Task("gen", "generate", (-1.4, 1.9, 1.9)),),
    experts=("left", "right"),
    objectives=acc(LABEL),
    candidates=24,
    search_items=30,
    test_items=120,
    finalists=4,
)


def front(folder: Path) -> dict:
    return json.loads((folder / "front.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_run(tmp_path_factory.mktemp("plain") / "run", SMALL)
    write(folder)
    return folder


def test_no_mark_where_truncation_differs(plain: Path, tmp_path: Path) -> None:
    """The same answers and scores; only the best expert's wrong ones were cut at the limit now."""
    assert BEATS in {mark for member in front(plain)["members"] for mark in member["mark"].values()}
    cut = write_run(tmp_path / "cut", replace(SMALL, cut=("expert:left", "expert:right")))
    write(cut)
    before, after = front(plain)["members"], front(cut)["members"]
    assert [m["test"] for m in after] == [m["test"] for m in before]
    marks = [(b["mark"][LABEL], a["mark"][LABEL]) for b, a in zip(before, after, strict=True) if b["mark"]]
    assert marks
    assert {pair for pair in marks if pair[0] in (BEATS, WORSE)} == {(BEATS, TRUNCATED)}
    assert not any(member["beats_best_expert"].get(LABEL) for member in after)
    withheld = [m for m in after if m["mark"].get(LABEL) == TRUNCATED]
    results = Results(RunStore.read(cut))
    for member in withheld:
        ours, theirs = member["difference_to_best_expert"][LABEL]["truncated"]
        assert theirs > ours
    (said,) = [text for text in warnings(results, front_members(results)) if "has no mark" in text]
    assert all(member["id"] in said for member in withheld)
    assert "max_gen_toks" in said
    assert "in no objective can the items judge" in front(cut)["headline"]
    text = (cut / "report.md").read_text(encoding="utf-8")
    assert TRUNCATED in text
    assert TRUNCATED in (cut / "report.html").read_text(encoding="utf-8")


def test_intervals_of_a_report_count_whole_clusters(plain: Path, tmp_path: Path) -> None:
    """The same answers to items in 12 passages of ten: other intervals, marks and words, the same scores."""
    folder = write_run(tmp_path / "run", replace(SMALL, together=10))
    write(folder)
    before, after = front(plain), front(folder)
    assert "count whole clusters" in (folder / "report.md").read_text(encoding="utf-8")
    assert "count whole clusters" not in (plain / "report.md").read_text(encoding="utf-8")
    store = RunStore.read(folder)
    labels = {item: entry["cluster"] for item, entry in described_items(store).items()}
    for old, new in zip(before["members"], after["members"], strict=True):
        if not new["test"]:
            continue
        shown = new["difference_to_best_expert"][LABEL]
        assert new["test"][LABEL]["mean"] == old["test"][LABEL]["mean"]
        assert (
            shown["high"] - shown["low"]
            > old["difference_to_best_expert"][LABEL]["high"] - (old["difference_to_best_expert"][LABEL]["low"])
        )
        ours, theirs = (
            {r.item: r.metrics["exact_match,strict-match"] for r in store.responses(e)}
            for e in store.evaluations("test")
            if e.digest == new["digest"] or e.name == shown["against"]
        )
        items = sorted(ours)
        values = [np.array([side[item] for item in items]) for side in (ours, theirs)]
        by_hand = paired_difference(*values, clusters=[labels[item] for item in items])
        assert abs(shown["mean"]) == pytest.approx(abs(by_hand.mean))
        assert shown["se"] == pytest.approx(by_hand.se)
    assert any("belong to 12" in text for text in Facts(store).warnings)
    assert {m["mark"][LABEL] for m in after["members"] if m["mark"]} <= {BEATS, SAME, WORSE}
