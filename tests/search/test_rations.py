"""Selection items in rungs by OCBA: who may be the best is asked most, and nobody everything without need."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from evomerge.analysis import estimators
from evomerge.analysis.estimators import Answers
from evomerge.evaluation import Constraint, Evaluation, Job, count_items
from evomerge.recipe import Recipe
from evomerge.search import PromoteSettings, SearchPlan
from evomerge.store import RunStore, estimates, newly_asked
from tests.search.analytic import ITEMS, Analytic, plan
from tests.search.sessions import search
from tests.search.test_kill import tmp_path

__all__ = ["tmp_path"]

POOL = 60
NOISY = Analytic(noise=0.05)
OCBA = PromoteSettings(8, "ocba", 0.5)


def rationed(searcher: str = "ga", promotion: PromoteSettings = OCBA, **settings: object) -> SearchPlan:
    made = plan(searcher, evaluations=48, **settings)  # type: ignore[arg-type]
    selection = {task: tuple(f"v{task[0]}{i}" for i in range(POOL)) for task in ITEMS["selection"]}
    return replace(made, items={**ITEMS, "selection": selection}, promotion=promotion, finalists=2)


def asked(store: RunStore) -> dict[str, list[Evaluation]]:
    """The evaluations of each candidate on selection items, in the order of the rungs."""
    found: dict[str, list[Evaluation]] = {}
    for evaluation in store.evaluations("selection"):
        if evaluation.name is None:
            found.setdefault(evaluation.digest, []).append(evaluation)
    return found


def test_who_may_be_the_best_is_asked_most(tmp_path: Path) -> None:
    result, jobs = search(tmp_path, rationed(), NOISY)
    store = RunStore.read(tmp_path)
    found, whole = asked(store), 2 * POOL
    assert len(found) == 8
    spent = sum(newly_asked(store, e) for own in found.values() for e in own)
    assert spent == sum(count_items(job.items) for job in jobs if job.split == "selection") - 4 * whole
    assert 0.4 * 8 * whole < spent <= 0.5 * 8 * whole + 8 * 2, "half of all, up to rounding to items of each task"
    sizes = {digest: own[-1].items for digest, own in found.items()}
    assert min(sizes.values()) < 0.5 * max(sizes.values()), "unevenly"
    everything = {digest: on_all_items(own[-1]) for digest, own in found.items()}
    order = sorted(everything, key=everything.__getitem__)
    assert sizes[order[0]] == max(sizes.values())
    seen = estimates(store, "selection")
    assert min(seen, key=lambda digest: seen[digest]["south.loss"][0]) == order[0]
    assert all((seen[digest]["south.loss"][1] == 0.0) == (size == whole) for digest, size in sizes.items())
    (chosen,) = (e.digest for e in result.confirmed if e.name is None)
    assert chosen == order[0], "the best on all items, found with half of them"


def on_all_items(evaluation: Evaluation) -> float:
    """The loss on all selection items."""
    recipe = Recipe.from_json(evaluation.recipe)
    answers = NOISY(Job("", recipe, rationed().items["selection"], evaluation.ask)).responses
    return float(np.mean([one.metrics["loss"] for one in answers if one.task == "south"]))


def test_rungs_are_prefixes_of_one_order_with_their_probabilities(tmp_path: Path) -> None:
    search(tmp_path, rationed("nsga2"), NOISY)
    store = RunStore.read(tmp_path)
    prefixes: dict[int, set[str]] = {}
    for own in asked(store).values():
        assert [e.ask.rung for e in own] == sorted({e.ask.rung for e in own})
        assert own[0].ask.rung == 1, "rung 0 is that of all items"
        assert len({(e.batch, e.index) for e in own}) == 1
        for e in own:
            given = store.items(e)
            chances = {task: (len(ids) / POOL,) * len(ids) for task, ids in given.items()}
            assert e.probabilities == (chances if e.items < 2 * POOL else None)
            assert abs(len(given["north"]) - len(given["south"])) <= 1
            assert prefixes.setdefault(e.items, {i for ids in given.values() for i in ids}) == {
                i for ids in given.values() for i in ids
            }
    ordered = [prefixes[size] for size in sorted(prefixes)]
    assert len(ordered) > 2
    assert all(smaller < larger for smaller, larger in pairwise(ordered))


def test_standard_errors_are_those_of_a_random_part(tmp_path: Path) -> None:
    """However many rungs it was asked in: nested prefixes are one sample, of the size of the last."""
    search(tmp_path, rationed(), NOISY)
    store = RunStore.read(tmp_path)
    last = {e.digest: e for e in store.evaluations("selection") if e.error is None}
    place = {item: number for number, item in enumerate(rationed().items["selection"]["south"])}
    values = np.full((len(last), POOL), np.nan)
    for row, evaluation in enumerate(last.values()):
        for one in store.responses(evaluation):
            if one.task == "south":
                values[row, place[one.item]] = one.metrics["loss"]
    expected = dict(zip(last, estimators.estimate("control_variate", Answers(values)).se, strict=True))
    seen = {digest: own["south.loss"][1] for digest, own in estimates(store, "selection").items()}
    assert len(seen) == 8
    assert any(len(own) > 1 for own in asked(store).values()), "in several rungs"
    assert seen == pytest.approx({digest: float(expected[digest]) for digest in seen})


def test_nothing_is_asked_twice_and_all_is_asked_when_wanted_later(tmp_path: Path) -> None:
    """Promotion can be chosen anew: what rungs have asked counts, and the rest is asked."""
    _, jobs = search(tmp_path, rationed(), NOISY)
    again, none = search(tmp_path, rationed(), NOISY)
    assert none == []
    result, more = search(tmp_path, rationed(promotion=PromoteSettings(8)), NOISY)
    assert {e.items for e in result.selected} == {2 * POOL}
    assert estimates(RunStore.read(tmp_path), "selection") == {}
    pairs = Counter((job.recipe.digest, item) for job in (*jobs, *more) for ids in job.items.values() for item in ids)
    assert max(pairs.values()) == 1
    back, none = search(tmp_path, rationed(), NOISY)
    assert none == []
    assert [e.digest for e in back.confirmed] == [e.digest for e in again.confirmed]


def test_passages_are_asked_whole(tmp_path: Path) -> None:
    """Of three items each, in rungs that count passages."""
    work = rationed()
    clusters = {i: f"{task} {n // 3}" for task, ids in work.items["selection"].items() for n, i in enumerate(ids)}
    search(tmp_path, replace(work, clusters=clusters), NOISY)
    store = RunStore.read(tmp_path)
    sizes = set[int]()
    for own in asked(store).values():
        for evaluation in own:
            held = Counter(clusters[item] for ids in store.items(evaluation).values() for item in ids)
            assert set(held.values()) == {3}
            sizes.add(len(held))
    assert len(sizes) > 2


def test_few_items_are_asked_of_everyone(tmp_path: Path) -> None:
    work = replace(rationed(promotion=PromoteSettings(8, "ocba", 1.0)), items=ITEMS)
    result, _ = search(tmp_path, work, NOISY)
    assert {e.items for e in result.selected} == {8}


@pytest.mark.parametrize("broken", [0.0, 0.3])
def test_constraints_and_failures_are_seen_on_the_selection_items(broken: float, tmp_path: Path) -> None:
    work = rationed("nsga2", constraints=(Constraint("south.loss <= 0.1", "south.loss", "<=", 0.1),))
    result, _ = search(tmp_path, work, Analytic(noise=0.05, broken=broken))
    finalists = [e for e in result.confirmed if e.name is None]
    assert finalists
    last = {digest: own[-1] for digest, own in asked(RunStore.read(tmp_path)).items()}
    assert all(last[e.digest].error is None for e in finalists)
    assert all(last[e.digest].metrics["south.loss"] < 0.13 for e in finalists), "near the bound at most"
