"""The study of whole searches: what it says follows from its runs, and no search can have seen the truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from experiments import json_lines
from experiments.end_to_end import fronts, ways
from experiments.end_to_end.material import EXAMS, Material
from experiments.end_to_end.ours import PROMOTED, RECOMMENDED, besides
from experiments.end_to_end.page import write
from experiments.end_to_end.study import run
from experiments.end_to_end.summary import redrawn, summaries
from experiments.repeats import over_repeats


def questions(folder: Path) -> set[str]:
    lines = [line for exam in EXAMS for line in (folder / f"{exam}.jsonl").read_text(encoding="utf-8").splitlines()]
    return {json.loads(line)["question"] for line in lines}


def entry(way: str, number: int, claimed: float, true: float) -> dict[str, object]:
    ends = {"claimed": claimed, "low": claimed - 0.1, "high": claimed + 0.1}
    return {"way": way, "run": number, **ends, "true": true, "items": 10, "candidates": 2, "seconds": 1.0}


def test_every_run_has_items_of_its_own_and_fresh_ones_are_nobodys(tmp_path: Path) -> None:
    material = Material(tmp_path, fresh=400)
    for number in (0, 3):
        assert material.family(number).experts == ("example:expert_1", "example:expert_2")
    first, second = (questions(tmp_path / f"benchmark_{number}") for number in (0, 3))
    fresh = questions(tmp_path / "fresh")
    assert len(first) == len(second) == 1200
    assert len(fresh) == 800
    assert not first & fresh
    assert not second & fresh
    assert len(first & second) < 10


def test_ways_are_compared_over_the_runs_that_both_have_done() -> None:
    found = [entry("a", 0, 0.9, 0.7), entry("a", 1, 0.8, 0.75), entry("a", 2, 0.5, 0.5), entry("b", 1, 0.6, 0.6)]
    ways = summaries([*found, entry("b", 0, 0.7, 0.8)], ["b", "a", "c"])
    assert list(ways) == ["b", "a"]
    assert ways["a"].optimism.tolist() == pytest.approx([0.2, 0.05, 0.0])
    assert ways["a"].held.tolist() == [False, True, True]
    assert ways["a"].less(ways["b"]).tolist() == pytest.approx([-0.1, 0.15])
    assert ways["b"].share(ways["a"]).tolist() == pytest.approx([0.8 / 0.7, 0.8])
    # Two values: the t quantile of one degree of freedom is 12.706, the standard error half their distance.
    assert over_repeats(ways["a"].less(ways["b"])) == pytest.approx((0.025, 0.025 - 1.588, 0.025 + 1.588), abs=1e-3)


def test_redrawn_claims_hold_as_often_as_intervals_of_shares_do() -> None:
    search = {"way": "a", "run": 0, "exams": [0.8, 0.7], "true": 0.75}
    assert 0.91 <= redrawn(search, 60, repeats=400) <= 0.99
    assert redrawn(search | {"true": 0.95}, 60, repeats=50) == 0.0  # a claim about another model


@pytest.mark.slow
@pytest.mark.parametrize("part", ["searches", "fronts"])
def test_a_run_spends_its_budget_and_is_not_done_twice(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = besides(PROMOTED, 1, RECOMMENDED) if part == "searches" else besides(fronts.PROMOTED, fronts.FINALISTS, 0)
    budget = beside + 800
    monkeypatch.setattr(ways, "BUDGET", budget)
    chosen = [way for way in ways.WAYS if way.name in (ways.PEERS, "rotating")]
    material = Material(tmp_path, fresh=100)
    run(tmp_path, part, [0], chosen, material)
    found = json_lines.read(tmp_path / f"{part}.jsonl")
    assert [entry["way"] for entry in found] == [way.name for way in chosen]
    for entry in found:
        assert 0.7 * budget < entry["items"] <= budget
        assert 0.0 < entry["true"] < 1.0
        if part == "searches":
            assert entry["low"] <= entry["claimed"] <= entry["high"]
            assert entry["true"] == pytest.approx(np.mean(entry["exams"]))
        else:
            assert 0 < len(entry["held"]) <= 2 * fronts.FINALISTS
    run(tmp_path, part, [0], chosen, material)
    assert json_lines.read(tmp_path / f"{part}.jsonl") == found
    write(tmp_path, tmp_path / "page")
    text = (tmp_path / "page" / "study.md").read_text(encoding="utf-8")
    assert text.count("| rotating | 1 |") == 1


def test_a_front_is_worth_what_it_truly_covers() -> None:
    """At once the second member is better by its claim, of which its worse exam is then true to 0.5."""
    claimed, true = np.array([[0.9, 0.5], [0.6, 0.8]]), np.array([[0.8, 0.4], [0.5, 0.6]])
    found = fronts.judged(claimed, true)
    assert found["claimed"] == pytest.approx(0.9 * 0.5 + 0.6 * 0.3)
    assert found["true"] == pytest.approx(0.8 * 0.4 + 0.5 * 0.2)
    assert found["claimed at once"] == 0.6
    assert found["true at once"] == 0.5
