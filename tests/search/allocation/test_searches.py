"""In a search with windows and races: who is asked what, and what is told."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evomerge.analysis.allocation.proxy import kendall
from evomerge.errors import InputError
from evomerge.evaluation import Job, Objective, Outcome, Response, count_items
from evomerge.search import AllocationSettings, Budgets, Progress, searchers
from evomerge.search.searchers import Observation, Proposal
from evomerge.store import RunStore, candidates, estimates, newly_asked, proxies
from tests.search.allocation.watching import NOISY, POOL, allocated, watched
from tests.search.analytic import NORTH, Analytic
from tests.search.sessions import search
from tests.search.test_kill import tmp_path

__all__ = ["tmp_path"]

KEEPING = [
    pytest.param(name, marks=[pytest.mark.slow] if name == "gp" else [])
    for name in searchers.names()
    if name not in ("cmaes", "m2n2", "random")
]


@pytest.mark.parametrize("name", KEEPING)
def test_survivors_are_asked_the_window_of_the_batch_and_told_again(name: str, tmp_path: Path) -> None:
    work, made = watched(allocated(name, policy="rotating", items=5))
    search(tmp_path, work, NOISY)
    store = RunStore.read(tmp_path)
    windows = defaultdict(set)
    for evaluation in store.evaluations("search"):
        windows[evaluation.batch].add(evaluation.item_set)
        assert evaluation.batch == 0 or evaluation.probabilities == dict.fromkeys(("north", "south"), (5 / POOL,) * 5)
    assert all(len(sets) == 1 for sets in windows.values()), "all of a batch are asked the same items"
    assert len({next(iter(sets)) for sets in windows.values()}) == len(windows), "other ones in each"
    for asked, selection, told in made[0].batches[1:]:
        assert selection.kept
        assert set(told) == {*asked, *selection.kept}
        assert {one.items for one in told.values()} == {10}
    first, later = made[0].batches[0], made[0].batches[1]
    kept = [id for id in later[1].kept if later[2][id].se is not None]
    assert all(later[2][id].F.tolist() != first[2][id].F.tolist() for id in kept), "on other items, other values"


def test_cmaes_sees_its_own_sample_alone(tmp_path: Path) -> None:
    work, made = watched(allocated("cmaes", 32, policy="rotating", items=8, race="cut", rungs=2))
    search(tmp_path, work, NOISY)
    assert len(made[0].batches) == 4
    for asked, selection, told in made[0].batches:
        assert selection.kept == ()
        assert list(told) == asked
    store = RunStore.read(tmp_path)
    assert {e.digest for e in store.evaluations("search") if e.batch} == {e.digest for e in candidates(store)}


def test_no_item_is_asked_twice_and_every_answer_counts(tmp_path: Path) -> None:
    """Items of the budget are answers: of new candidates, of survivors, of later rungs."""
    work = allocated("nsga2", 99, policy="rotating", items=9, race="halving", options={"carried": 0.5})
    work = replace(work, budgets=Budgets(None, items=700, max_failures=50))
    shown: list[Progress] = []
    result, jobs = search(tmp_path, work, NOISY, progress=shown.append)
    pairs = Counter((job.recipe.digest, task, item) for job in jobs for task, ids in job.items.items() for item in ids)
    assert max(pairs.values()) == 1
    assert result.reason == "items"
    searched = [job for job in jobs if job.split == "search" and job.ask.batch]
    spent = sum(count_items(job.items) for job in searched)
    assert 700 - 18 < spent <= 700
    store = RunStore.read(tmp_path)
    assert sum(newly_asked(store, e) for e in store.evaluations("search") if e.batch) == spent
    assert result.evaluations == len(candidates(store))
    costs = [progress.items for progress in shown if progress.phase == "search"]
    assert costs[-1] == pytest.approx(spent / result.evaluations), "items per candidate, as the progress line says"
    assert {progress.items for progress in shown if progress.phase != "search"} == {None}
    again, jobs = search(tmp_path, work, NOISY)
    assert (jobs, again) == ([], result)


def test_a_race_asks_fewer_items_and_tells_everyone(tmp_path: Path) -> None:
    items = {}
    for race in ("none", "sequential", "cut", "halving", "wilcoxon"):
        work, made = watched(allocated("ga", 32, race=race))
        _, jobs = search(tmp_path / race, work, Analytic(noise=0.02))
        items[race] = sum(count_items(job.items) for job in jobs if job.split == "search")
        for asked, selection, told in made[0].batches:
            assert set(told) == {*asked, *(() if race == "none" else selection.kept)}
            assert all(np.isfinite(one.F).all() and np.isfinite(one.G).all() for one in told.values())
        rungs = {e.rung for e in (one.ask for one in RunStore.read(tmp_path / race).evaluations("search"))}
        assert (rungs == {0}) == (race == "none")
    assert max(items.values()) == items["none"]
    assert min(items.values()) < 0.8 * items["none"]


def test_one_window_for_the_whole_run_is_the_peers_practice(tmp_path: Path) -> None:
    search(tmp_path, allocated("nsga2", items=5), NOISY)
    evaluations = [e for e in RunStore.read(tmp_path).evaluations("search") if e.batch]
    assert len({e.item_set for e in evaluations}) == 1
    assert len({e.digest for e in evaluations}) == len(evaluations), "nobody is asked again"


def test_policies_that_learn_from_the_first_batch_ask_it_everything(tmp_path: Path) -> None:
    for policy in ("disagreement", "rank_preserving"):
        search(tmp_path / policy, allocated("ga", policy=policy, items=5), NOISY)
        sizes = defaultdict(set)
        for evaluation in RunStore.read(tmp_path / policy).evaluations("search"):
            sizes[evaluation.batch].add(evaluation.items)
        assert [sizes[batch] for batch in range(4)] == [{48}, {48}, {10}, {10}]


def test_candidates_are_compared_by_estimates_from_all_their_answers(tmp_path: Path) -> None:
    result, _ = search(tmp_path, allocated("nsga2", 40, policy="rotating", items=8), NOISY)
    store = RunStore.read(tmp_path)
    found = estimates(store)
    scored = [e for e in candidates(store) if e.error is None]
    assert set(found) == {e.digest for e in scored}
    assert set(found[scored[0].digest]) == {"north.acc", "south.loss"}
    values = {d: (-own["north.acc"][0], own["south.loss"][0]) for d, own in found.items()}
    front = {e.digest for e in result.front}
    for digest, own in values.items():
        dominated = any(other != own and other[0] <= own[0] and other[1] <= own[1] for other in values.values())
        assert (digest in front) != dominated
    errors = {e.digest: found[e.digest]["north.acc"][1] for e in scored}
    asked = Counter[str]()
    asked.update({e.digest: 0 for e in scored})
    for e in store.evaluations("search"):
        if e.digest in asked:
            asked[e.digest] += newly_asked(store, e)
    most, least = (pick(asked, key=asked.__getitem__) for pick in (max, min))
    assert errors[most] < errors[least]


def test_settings_that_do_not_fit_are_refused_together() -> None:
    problems = AllocationSettings("rotating", growth="converging", race_options={"level": 2.0}).problems()
    assert [problem.partition(":")[0] for problem in problems] == [
        "allocation.race_options", "allocation.growth", "allocation.policy",
    ]  # fmt: skip
    assert AllocationSettings("no such").problems()[0].startswith("allocation.policy: expected one of auto")
    assert AllocationSettings().identity() == {}
    assert AllocationSettings(options={}).plain


def test_a_searcher_that_does_not_say_whom_it_keeps_is_refused(tmp_path: Path) -> None:
    class Silent:
        name = "silent"

        def ask(self, n: int | None = None) -> list[Proposal]:
            return [Proposal("1.0", np.full(8, 0.5))]

        def tell(self, observations: Sequence[Observation]) -> None: ...

    work = replace(allocated("ga", policy="rotating", items=5), searcher=lambda _: Silent())
    with pytest.raises(InputError, match="searcher silent does not say whom it keeps"):
        search(tmp_path, work)


def test_functions_of_the_whole_model_are_called_once(tmp_path: Path) -> None:
    """Their values are exact, whatever window they come with."""

    def both(job: Job) -> Outcome:
        outcome = NOISY(replace(job, items={t: ids for t, ids in job.items.items() if t != "python"}))
        if "python" not in job.items or outcome.error is not None:
            return outcome
        size = Response("python", "", {"size": float(int(job.recipe.digest[:2], 16))})
        return replace(outcome, responses=(*outcome.responses, size))

    work = allocated("nsga2", policy="rotating", items=5)
    items = {split: {**tasks, "python": ("",)} for split, tasks in work.items.items()}
    work = replace(work, items=items, objectives=(NORTH, Objective("python.size", ((1.0, "python.size"),), False)))
    _, jobs = search(tmp_path, work, both)
    called = Counter(job.recipe.digest for job in jobs if job.split == "search" and "python" in job.items)
    assert max(called.values()) == 1
    store = RunStore.read(tmp_path)
    for evaluation in store.evaluations("search"):
        if evaluation.error is None and evaluation.told is not None:
            assert evaluation.told.F[1] == float(int(evaluation.digest[:2], 16))
            assert evaluation.told.se is not None
            assert evaluation.told.se[1] == 0.0
    assert json.loads((tmp_path / "status.json").read_text())["evaluations"] == 24


def test_a_proxy_ranks_once_enough_candidates_show_that_it_may(tmp_path: Path) -> None:
    """The proxy is the objective without its noise; the accuracy of the run's records stays what it is."""
    calm = Analytic()

    def worker(job: Job) -> Outcome:
        loud, quiet = Analytic(noise=0.01)(job), calm(job)
        pairs = zip(loud.responses, quiet.responses, strict=True)
        both = [replace(one, metrics={**one.metrics, "smooth": -two.metrics["loss"]})
                if one.task == "south" else one for one, two in pairs]  # fmt: skip
        return replace(loud, responses=tuple(both))

    work = allocated("ga", 48, policy="rotating", items=8, proxy="smooth")
    search(tmp_path, work, worker)
    store = RunStore.read(tmp_path)
    last = [e for e in store.evaluations("search") if e.told is not None and e.batch == 6]
    assert len(last) >= 12
    told = np.array([e.told.F[0] for e in last if e.told])
    true = np.array([-e.metrics["south.smooth"] for e in last])
    noisy = np.array([e.metrics["south.loss"] for e in last])
    assert kendall(told, true) == pytest.approx(1.0), "as the proxy ranks"
    assert kendall(noisy, true) < 1.0
    first = [e for e in store.evaluations("search") if e.told is not None and e.batch == 1]
    assert [e.told.F[0] for e in first if e.told] == pytest.approx([e.metrics["south.loss"] for e in first])
    (use,) = proxies(store).values()
    assert (use.proxy, use.share) == ("smooth", 1.0)
    assert use.tau is not None
    assert use.tau <= -0.9, "a loss falls where the proxy rises"
