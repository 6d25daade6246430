"""Answers side by side: the right answers of the right models, both sides shown."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from evomerge.errors import InputError
from evomerge.evaluation import Response
from evomerge.report.facts import Facts
from evomerge.report.samples import ITEMS_PER_TASK, shown_answer
from evomerge.store import RunStore


@pytest.fixture(scope="module")
def facts(run_of: Callable[[str], Path]) -> Facts:
    return Facts(RunStore.read(run_of("two")))


def test_answers_and_scores_are_those_recorded(facts: Facts) -> None:
    store = facts.results.store
    member = facts.confirmed[0]
    recorded = {r.item: r for r in store.responses(member.test)}
    shown = facts.samples["answers"][member.id]
    for item, (answer, score) in zip(facts.samples["items"], shown, strict=True):
        response = recorded[item["id"]]
        assert score == response.metrics["acc"]
        if item["options"]:
            assert response.logprobs[answer] == max(response.logprobs)
            assert item["options"][item["right"][0]].startswith("option")
        else:
            assert answer["greedy"] == response.greedy[0]


def test_counts_are_those_of_all_items(facts: Facts) -> None:
    store = facts.results.store
    member = facts.confirmed[0]
    for task, counts in facts.samples["counts"].items():
        expert = facts.results.baseline(counts["expert"], "test")
        ours = {r.item: r.metrics["acc"] for r in store.responses(member.test) if r.task == task}
        theirs = {r.item: r.metrics["acc"] for r in store.responses(expert) if r.task == task}
        pairs = [(ours[i], theirs[i]) for i in ours]
        by_hand = [pairs.count(p) for p in ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0))]
        assert counts["members"][member.id] == by_hand
        assert sum(by_hand) == len(facts.manifest["items"]["test"][task])


def test_items_show_both_sides(facts: Facts) -> None:
    for task, counts in facts.samples["counts"].items():
        rows = [n for n, item in enumerate(facts.samples["items"]) if item["task"] == task]
        assert 0 < len(rows) <= ITEMS_PER_TASK
        expert = [facts.samples["answers"][counts["expert"]][n][1] for n in rows]
        member = [facts.samples["answers"][facts.confirmed[0].id][n][1] for n in rows]
        assert any(e > m for e, m in zip(expert, member, strict=True))
        assert any(e < m for e, m in zip(expert, member, strict=True))


def test_every_kind_of_answer(run_of: Callable[[str], Path]) -> None:
    facts = Facts(RunStore.read(run_of("three")))
    by_task = {item["task"]: n for n, item in enumerate(facts.samples["items"])}
    given = facts.samples["answers"][facts.confirmed[0].id]
    assert isinstance(given[by_task["arc_made"]][0], int)
    assert given[by_task["gsm_made"]][0].startswith("answer")
    assert set(given[by_task["wiki_made"]][0]) == {"greedy", "logprob"}


def test_the_better_side_follows_the_metric(run_of: Callable[[str], Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run_of("two"), tmp_path / "run"))
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["objectives"][1] = {"label": "less", "terms": [[-1.0, "sort_b.acc"]], "higher_is_better": False}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    same = Facts(RunStore.read(folder)).samples["counts"]["sort_b"]
    assert same["right"] == 1.0  # a negative weight in what is to be low
    manifest["objectives"][1] = {"label": "less", "terms": [[1.0, "sort_b.acc"]], "higher_is_better": False}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    facts = Facts(RunStore.read(folder))
    turned = facts.samples["counts"]["sort_b"]
    assert turned["right"] == 0.0
    for member in facts.confirmed:
        recorded = facts.results.store.responses(member.test)
        right = sum(r.metrics["acc"] == 0.0 for r in recorded if r.task == "sort_b")
        both, alone, *_ = turned["members"][member.id]
        assert both + alone == right


@pytest.mark.parametrize(
    ("metric", "option"), [("acc", 0), ("acc_norm", 1), ("acc_norm,none", 1), ("acc_bytes", 2), ("acc_mutual_info", 3)]
)
def test_the_option_shown_is_the_one_that_is_judged(metric: str, option: int) -> None:
    options = ["ab", "abcdefgh", "éééééé", "abc"]
    likelihoods = (-2.0, -4.0, -5.0, -4.0)  # for each letter -1, -0.5, -0.83, -1.33
    if metric == "acc_bytes":
        likelihoods = (-2.0, -8.0, -5.0, -4.0)  # for each byte -1, -1, -0.42, -1.33
    if metric == "acc_mutual_info":
        likelihoods += (-1.0, -2.0, -3.0, -9.0)
    assert shown_answer(Response("t", "i", {metric: 1.0}, likelihoods), {"options": options}, metric) == [option, 1.0]


def test_a_task_group_is_shown_by_its_tasks(run_of: Callable[[str], Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run_of("two"), tmp_path / "run"))
    records = folder / "records" / "main.jsonl"
    lines = [json.loads(line) for line in records.read_text(encoding="utf-8").splitlines()]
    for metrics in (line["evaluation"]["metrics"] for line in lines):
        if metrics:
            metrics["both.acc"] = (metrics["reverse_b.acc"] + metrics["sort_b.acc"]) / 2
    records.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["objectives"] = [{"label": "both.acc", "terms": [[1.0, "both.acc"]], "higher_is_better": True}]
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    found = Facts(RunStore.read(folder)).samples
    assert set(found["counts"]) == {item["task"] for item in found["items"]} == {"reverse_b", "sort_b"}


@pytest.mark.parametrize("entry", [None, [], {"question": "q"}, {"task": 3}, {"task": "alpha", "options": "ab"}])
def test_a_damaged_item_is_named(run_of: Callable[[str], Path], tmp_path: Path, entry: object) -> None:
    run = tmp_path / "run"
    shutil.copytree(run_of("two"), run)
    contents = json.loads((run / "items.json").read_text())
    item = next(iter(contents))
    (run / "items.json").write_text(json.dumps(contents | {item: entry}))
    with pytest.raises(InputError, match=rf"items\.json: expected the task, .* of item '{item}'; it holds "):
        _ = Facts(RunStore.read(run)).samples
