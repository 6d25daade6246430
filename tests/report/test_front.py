"""The numbers of ``front.json`` equal those computed again from the run's files, by other means."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evomerge.report import front_members
from evomerge.store import RunStore

Z = 1.959963984540054
FrontOf = Callable[[str], dict[str, Any]]
RunOf = Callable[[str], Path]


def records(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "evaluations.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def answers(folder: Path, record: Mapping[str, Any], task: str, metric: str) -> dict[str, float]:
    """One record's per-item values, read from the bytes that it refers to."""
    lines = map(json.loads, (folder / "records" / "main.jsonl").read_text(encoding="utf-8").splitlines())
    place = {key: record[key] for key in ("split", "batch", "index")}
    ref = next(line["provenance"]["responses"] for line in lines if place.items() <= line["evaluation"].items())
    data = (folder / "responses" / ref["file"]).read_bytes()[ref["start"] : ref["start"] + ref["length"]]
    rows = [json.loads(line) for line in data.decode("utf-8").split("\n") if line]
    return {row["item"]: row["metrics"][metric] for row in rows if row["task"] == task}


def wilson(values: list[float]) -> tuple[float, float]:
    n, p = len(values), sum(values) / len(values)
    roots = np.roots([1 + Z**2 / n, -(2 * p + Z**2 / n), p**2])
    return float(min(roots.real)), float(max(roots.real))


@pytest.mark.parametrize("split", ["search", "test"])
def test_scores_and_intervals(run_of: RunOf, front_of: FrontOf, split: str) -> None:
    folder, front = run_of("two"), front_of("two")
    found = {(r["digest"], r["split"]): r for r in records(folder)}
    assert len(front["members"]) > 1
    for member in front["members"]:
        for label in ("reverse_b.acc", "sort_b.acc"):
            values = list(answers(folder, found[member["digest"], split], label.removesuffix(".acc"), "acc").values())
            shown = member[split][label]
            assert shown["mean"] == pytest.approx(np.mean(values), abs=1e-12)
            assert shown["se"] == pytest.approx(np.std(values, ddof=1) / math.sqrt(len(values)))
            assert (shown["low"], shown["high"]) == pytest.approx(wilson(values), abs=1e-9)
        assert member["metrics"][split] == found[member["digest"], split]["metrics"]


def test_differences_are_paired_by_item_with_the_best_expert_of_each_objective(
    run_of: RunOf, front_of: FrontOf
) -> None:
    folder, front = run_of("two"), front_of("two")
    found = {(r["digest"], r["split"]): r for r in records(folder)}
    experts = {r["name"]: r for r in records(folder) if r["split"] == "test" and str(r["name"]).startswith("expert:")}
    p_values = []
    for member in front["members"]:
        for label in ("reverse_b.acc", "sort_b.acc"):
            best = max(experts, key=lambda name, key=label: experts[name]["metrics"][key])
            task = label.removesuffix(".acc")
            ours = answers(folder, found[member["digest"], "test"], task, "acc")
            theirs = answers(folder, experts[best], task, "acc")
            gaps = [ours[item] - theirs[item] for item in theirs]
            shown = member["difference_to_best_expert"][label]
            assert shown["against"] == best
            assert shown["mean"] == pytest.approx(np.mean(gaps))
            assert shown["low"] < shown["mean"] < shown["high"]
            # McNemar's test is the score test of no difference, whose inversion gives the interval.
            wins, losses = gaps.count(1.0), gaps.count(-1.0)
            p = math.erfc(abs(wins - losses) / math.sqrt(wins + losses) / math.sqrt(2))
            assert shown["p"] == pytest.approx(p, rel=1e-3, abs=2e-7)
            p_values.append((p, member, label))
    assert front["comparisons"] == len(p_values) == 2 * len(front["members"])
    running = 0.0
    for rank, (p, member, label) in enumerate(sorted(p_values, key=lambda entry: entry[0])):
        running = max(running, min(1.0, p * (len(p_values) - rank)))
        mean = member["difference_to_best_expert"][label]["mean"]
        mark = "not distinguishable" if running >= 0.05 else "beats best expert" if mean > 0 else "worse"
        assert member["mark"][label] == mark
        assert member["beats_best_expert"][label] == (mark == "beats best expert")


def test_selection_scores_are_told_beside_the_others(run_of: RunOf, front_of: FrontOf) -> None:
    folder, front = run_of("three"), front_of("three")
    found = {(r["digest"], r["split"]): r["metrics"] for r in records(folder)}
    assert front["items"]["selection"] == 3 * 50
    compared = [m for m in front["members"] if m["selection"]]
    assert compared == [m for m in front["members"] if m["test"]]
    assert len(compared) < len(front["members"])
    for member in compared:
        assert member["metrics"]["selection"] == found[member["digest"], "selection"]
        for label, score in member["selection"].items():
            assert score["mean"] == pytest.approx(member["metrics"]["selection"][label])
            assert score["low"] < score["mean"] < score["high"]
    assert all(b["selection"] for b in front["baselines"])
    without = front_of("two")
    assert {m["selection"] for m in without["members"]} == {None}
    assert {m["metrics"]["selection"] for m in without["members"]} == {None}


def test_lower_is_better_turns_marks_and_best_expert_around(front_of: FrontOf) -> None:
    front = front_of("three")
    label = "wiki_made.perplexity"
    experts = {b["name"]: b["test"][label]["mean"] for b in front["baselines"] if b["kind"] == "expert"}
    marked = [m for m in front["members"] if m["test"]]
    assert {m["difference_to_best_expert"][label]["against"] for m in marked} == {min(experts, key=experts.__getitem__)}
    worse = [m for m in marked if m["mark"][label] == "worse"]
    assert worse
    assert all(m["difference_to_best_expert"][label]["mean"] > 0 for m in worse)


@pytest.mark.parametrize("name", ["two", "three", "many", "none_better"])
def test_members_are_the_front_and_the_confirmed(run_of: RunOf, front_of: FrontOf, name: str) -> None:
    front = front_of(name)
    labels = [o["label"] for o in front["objectives"]]
    signs = np.array([1.0 if o["higher_is_better"] else -1.0 for o in front["objectives"]])

    def dominated(score: np.ndarray, others: list[np.ndarray]) -> bool:
        return any((other >= score).all() and (other > score).any() for other in others)

    scored = {
        r["digest"]: signs * np.array([r["metrics"][label] for label in labels])
        for r in records(run_of(name))
        if r["split"] == "search" and r["name"] is None and not r["error"]
    }
    best = {digest for digest, score in scored.items() if not dominated(score, list(scored.values()))}
    tested = {r["digest"] for r in records(run_of(name)) if r["split"] == "test" and r["name"] is None}
    assert {m["digest"] for m in front["members"]} == best | tested
    assert sum(m["knee"] for m in front["members"]) == 1

    def held_out_scores(entry: Mapping[str, Any]) -> np.ndarray:
        return signs * np.array([entry["test"][label]["mean"] for label in labels])

    held_out = {m["id"]: held_out_scores(m) for m in front["members"] if m["test"]}
    baselines = {b["name"]: held_out_scores(b) for b in front["baselines"]}
    for member in front["members"]:
        if member["test"]:
            score = held_out[member["id"]]
            assert member["on_test_front"] == (not dominated(score, list(held_out.values())))
            assert member["dominated_by"] == [n for n, other in baselines.items() if dominated(score, [other])]


def test_a_weighted_objective_adds_its_tasks_as_independent_samples(run_of: RunOf, front_of: FrontOf) -> None:
    folder, front = run_of("single"), front_of("single")
    label = front["objectives"][0]["label"]
    found = {(r["digest"], r["split"]): r for r in records(folder)}
    best = front["members"][0]["difference_to_best_expert"][label]["against"]
    expert = next(r for r in records(folder) if r["split"] == "test" and r["name"] == best)
    for member in front["members"]:
        variance = gap_variance = gap = 0.0
        for task in ("reverse_b", "sort_b"):
            ours = answers(folder, found[member["digest"], "test"], task, "acc")
            theirs = answers(folder, expert, task, "acc")
            gaps = np.array([ours[item] - theirs[item] for item in ours])
            variance += 0.25 * np.var(list(ours.values()), ddof=1) / len(ours)
            gap_variance += 0.25 * np.var(gaps, ddof=1) / len(gaps)
            gap += 0.5 * gaps.mean()
        assert member["test"][label]["se"] == pytest.approx(math.sqrt(variance))
        assert member["difference_to_best_expert"][label]["mean"] == pytest.approx(gap)
        assert member["difference_to_best_expert"][label]["se"] == pytest.approx(math.sqrt(gap_variance))


def test_members_come_best_first_and_unconfirmed_last(front_of: FrontOf) -> None:
    members = front_of("three")["members"]
    confirmed = [m["test"] is not None for m in members]
    assert confirmed == sorted(confirmed, reverse=True)
    assert not all(confirmed)
    scores = [m["search"]["gsm_made.exact_match,strict-match"]["mean"] for m in members if m["test"]]
    assert scores == sorted(scores, reverse=True)


def test_export_and_library_see_the_same_members(run_of: RunOf, front_of: FrontOf) -> None:
    members = front_members(RunStore.read(run_of("two")))
    assert [m.id for m in members] == [m["id"] for m in front_of("two")["members"]]
    assert [m.beats_best_expert for m in members] == [m["beats_best_expert"] for m in front_of("two")["members"]]
    assert all(len(m.id) >= 8 and m.digest.startswith(m.id) for m in members)


def test_nothing_feasible_means_no_member(front_of: FrontOf) -> None:
    assert front_of("constrained")["members"] == []
    assert (
        front_of("constrained")["headline"]
        == "None of 35\N{NO-BREAK SPACE}scored candidates meets the constraints, so the front is empty."
    )


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("all_failed", "No candidate could be scored: all 5 failed."),
        ("unconfirmed", "The front has 4\N{NO-BREAK SPACE}members; none has been scored on held-out items yet."),
        (
            "one_member",
            "The one merged model is not shown to beat the best expert of any objective on held-out items, and it does "
            "not stay within 5 points of the best expert in both objectives.",
        ),
    ],
)
def test_headlines_of_odd_runs(front_of: FrontOf, name: str, start: str) -> None:
    assert front_of(name)["headline"] == start


def test_headline_says_what_cannot_be_compared(front_of: FrontOf) -> None:
    front = front_of("python")
    assert front["headline"].endswith(" Compared: reverse_b.acc; cannot be compared: python.spread.")
    assert "objective" not in front["headline"]
    assert all(set(member["mark"]) == {"reverse_b.acc"} for member in front["members"] if member["test"])
    alone = front_of("only_python")["headline"]
    assert alone.endswith("but in no objective can the items judge them against the best expert.")


def test_headline_counts_what_the_marks_say(front_of: FrontOf) -> None:
    for name in ("two", "three", "many", "single"):
        front = front_of(name)
        tested = [m for m in front["members"] if m["test"]]
        winners = sum(any(m["beats_best_expert"].values()) for m in tested)
        words = front["headline"].replace("\N{NO-BREAK SPACE}", " ")
        assert words.startswith(
            (f"{winners} of {len(tested)} ", f"All {len(tested)} ", f"None of {len(tested)} ", "The one")
        )
        assert words.startswith("None") == (winners == 0)
        assert words.startswith("All") == (winners == len(tested) > 1)
