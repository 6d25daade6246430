"""Estimators compare candidates that were asked different items; clusters count as what they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

from evomerge.analysis import estimators
from evomerge.analysis.estimators import Answers
from evomerge.errors import InputError
from evomerge.evaluation import Evaluation, Job, Outcome
from evomerge.recipe import Recipe
from evomerge.search import AllocationSettings, SearchPlan
from evomerge.search.allocation.told import levelled
from evomerge.store import RunStore, candidates, estimates
from tests.search.allocation.watching import NOISY, POOL, allocated, watched
from tests.search.analytic import Analytic, baselines
from tests.search.sessions import memory, search
from tests.search.test_kill import tmp_path

__all__ = ["tmp_path"]


@dataclass(frozen=True)
class Uneven:
    """The analytic worker with items that differ in difficulty, by far more than candidates do."""

    worker: Analytic = NOISY

    def __call__(self, job: Job) -> Outcome:
        outcome = self.worker(job)
        harder = [
            replace(one, metrics={key: value + _difficulty(one.item) for key, value in one.metrics.items()})
            for one in outcome.responses
        ]
        return replace(outcome, responses=tuple(harder))


def _difficulty(item: str) -> float:
    return (crc32(item.encode()) % 1000) / 1000 - 0.5


def uneven(searcher: str, **settings: object) -> SearchPlan:
    if settings.get("estimator") == "posterior":
        settings["estimator_options"] = {"scores": "control_variate"}
    return allocated(searcher, 40, policy="rotating", items=6, options={"carried": 0.3}, **settings)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """One search for each of three estimators."""
    with memory(tmp_path_factory.mktemp("estimators")) as folder:
        for name in ("mean", "control_variate", "posterior"):
            search(folder / name, uneven("nsga2", estimator=name), Uneven())
        yield {name: folder / name for name in ("mean", "control_variate", "posterior")}


def true_value(evaluation: Evaluation, plan: SearchPlan) -> float:
    job = Job("", Recipe.from_json(evaluation.recipe), plan.items["search"], evaluation.ask)
    return float(np.mean([one.metrics["acc"] for one in Uneven()(job).responses if one.task == "north"]))


def test_an_estimator_knows_better_who_is_good(runs: dict[str, Path]) -> None:
    """Where windows differ in difficulty, means over the items asked are off by it; the estimates are not."""
    errors = {}
    for name, folder in runs.items():
        store = RunStore.read(folder)
        found = estimates(store)
        scored = [e for e in candidates(store) if e.error is None]
        assert set(found) == {e.digest for e in scored}
        away = [found[e.digest]["north.acc"][0] - true_value(e, uneven("nsga2")) for e in scored]
        errors[name] = float(np.sqrt(np.mean(np.square(away))))
    assert errors["control_variate"] < 0.5 * errors["mean"]
    assert errors["posterior"] < 0.5 * errors["mean"]


def table_of(store: RunStore, plan: SearchPlan, task: str, batch: int) -> tuple[list[str], Answers]:
    """All answers up to a batch; rotating windows overlap, but any items are as likely as others."""
    ids = plan.items["search"][task]
    rows = list(dict.fromkeys(e.digest for e in store.evaluations("search") if e.batch <= batch))
    values = np.full((len(rows), POOL), np.nan)
    for e in store.evaluations("search"):
        if e.batch > batch or e.error is not None:
            continue
        for one in store.responses(e):
            if one.task == task:
                values[rows.index(e.digest), ids.index(one.item)] = next(iter(one.metrics.values()))
    return rows, Answers(values)


def test_what_a_batch_is_told_is_the_estimator_s(runs: dict[str, Path]) -> None:
    """Survivors are estimated anew from all that they have answered by then; who answered equally much as it is."""
    store, plan = RunStore.read(runs["control_variate"]), uneven("nsga2")
    for batch in (1, 4):
        rows, answers = table_of(store, plan, "south", batch)
        told = [e for e in store.evaluations("search") if e.batch == batch and e.told is not None and e.error is None]
        assert len(told) >= 6
        found = estimators.estimate("control_variate", answers, [rows.index(e.digest) for e in told])
        assert [e.told.se[1] for e in told if e.told and e.told.se] == pytest.approx(found.se.tolist())
        values = np.array([e.told.F[1] for e in told if e.told])
        if batch == 1:
            assert values == pytest.approx(found.value), "everyone has answered one window"
        else:
            survivors = np.array([answers.counts[rows.index(e.digest)] > 6 for e in told])
            assert survivors.any()
            for group in (survivors, ~survivors):
                drawn, whole = (float(np.ptp(v[group])) for v in (values, found.value))
                assert drawn <= whole
                if (
                    len(set(answers.counts[[rows.index(e.digest) for e, own in zip(told, group, strict=True) if own]]))
                    == 1
                ):
                    assert np.argsort(values[group]).tolist() == np.argsort(found.value[group]).tolist()


def test_a_proposed_recipe_is_no_survivor(tmp_path: Path) -> None:
    """CycleQD's pushed children have no genome; they are drawn towards the mean of what is proposed all the same."""
    search(tmp_path, uneven("cycleqd", estimator="control_variate"), Uneven())
    store, plan = RunStore.read(tmp_path), uneven("cycleqd")
    for batch in (2, 3):
        rows, answers = table_of(store, plan, "south", batch)
        told = [e for e in store.evaluations("search") if e.batch == batch and e.told is not None and e.error is None]
        places = [rows.index(e.digest) for e in told]
        found = estimators.estimate("control_variate", answers, places)
        earlier = {e.digest for e in store.evaluations("search") if e.batch < batch}
        kept = np.array([e.digest in earlier for e in told])
        assert kept.any()
        assert any(Recipe.from_json(e.recipe).post for e, own in zip(told, kept, strict=True) if not own)
        wanted = levelled(found.value, found.se, answers.counts[places], kept.astype(int))
        assert [e.told.F[1] for e in told if e.told] == pytest.approx(wanted.tolist())


def test_cmaes_is_told_of_its_own_sample_by_an_estimator(tmp_path: Path) -> None:
    """Who left the race has answered less, and is told a value that is drawn towards the others by that."""
    work, made = watched(allocated("cmaes", 24, race="halving", rungs=2, estimator="control_variate"))
    search(tmp_path, work, Uneven())
    for number, (asked, selection, told) in enumerate(made[0].batches):
        assert selection.kept == ()
        assert list(told) == asked
        if number == 0:  # the starts alone
            continue
        known = [one for one in told.values() if one.se is not None]
        assert len({one.items for one in known}) == 2
        most = max(one.items for one in known)
        assert all((one.se[0] == 0.0) == (one.items == most) for one in known), "the whole pool leaves no error"


def right_or_wrong(job: Job) -> Outcome:
    """The uneven worker's answers as 0 and 1."""
    outcome = Uneven()(job)
    made = [replace(one, metrics={key: float(v > 0.5) for key, v in one.metrics.items()}) for one in outcome.responses]
    return replace(outcome, responses=tuple(made))


@pytest.mark.slow
@pytest.mark.parametrize("race", ["none", "halving"])
@pytest.mark.parametrize("name", estimators.names())
def test_every_estimator_carries_a_search(name: str, race: str, tmp_path: Path) -> None:
    """Of answers of 0 and 1; windows large enough for two rungs."""
    plan = allocated("nsga2", 40, policy="rotating", items=18, race=race, rungs=2, estimator=name)
    result, _ = search(tmp_path, plan, right_or_wrong)
    store = RunStore.read(tmp_path)
    assert result.evaluations == 40
    told = [e.told for e in store.evaluations("search") if e.told is not None and e.error is None]
    assert len(told) > 30
    assert all(np.isfinite([*one.F, *one.G, *(one.se or ())]).all() and one.se for one in told)
    found = estimates(store)
    assert all(np.isfinite(pair).all() for own in found.values() for pair in own.values())
    search(tmp_path / "mean", replace(plan, allocation=replace(plan.allocation, estimator="mean")), right_or_wrong)
    assert (found != estimates(RunStore.read(tmp_path / "mean"))) == (name != "mean")


def test_named_items_are_not_taken_for_certain(tmp_path: Path) -> None:
    search(tmp_path, allocated("ga", policy="rank_preserving", items=6, estimator="control_variate"), Uneven())
    store = RunStore.read(tmp_path)
    told = [e for e in store.evaluations("search") if e.batch == 3 and e.told is not None and e.error is None]
    assert told
    assert all(e.told.se[0] > 0.0 for e in told if e.told and e.told.se)


def test_an_estimator_that_does_not_fit_is_refused_with_its_reason(tmp_path: Path) -> None:
    """The noisy loss of a good baseline lies below 0; gmp-IRT needs two experts."""
    work = allocated("nsga2", policy="rotating", items=6, estimator="gmp_irt")
    work = replace(work, baselines={n: r for n, r in baselines().items() if n != "expert:north"})
    with pytest.raises(InputError) as caught:
        search(tmp_path, work, Uneven())
    assert [problem.partition(",")[0] for problem in caught.value.problems] == [
        "allocation.estimator for north.acc: estimator gmp_irt needs the rows of at least 2 merged models",
        "allocation.estimator for north.acc: estimator gmp_irt needs answers between 0 and 1",
        "allocation.estimator for south.loss: estimator gmp_irt needs the rows of at least 2 merged models",
        "allocation.estimator for south.loss: estimator gmp_irt needs answers between 0 and 1",
    ]
    assert all(problem.endswith("; choose another") for problem in caught.value.problems)


def test_settings_with_an_estimator_that_has_nothing_to_do_are_refused() -> None:
    idle = AllocationSettings(estimator="aipw").problems()
    assert [problem.partition(" has ")[0] for problem in idle] == ["allocation.estimator: aipw"]
    beside = AllocationSettings("rotating", items=5, estimator="p_irt", proxy="gold_logprob").problems()
    assert [problem.partition(" needs ")[0] for problem in beside] == ["allocation.estimator: p_irt"]
    assert AllocationSettings("rotating", items=5, estimator="p_irt").problems() == []
    options = [
        AllocationSettings("rotating", items=5, estimator=name, estimator_options={"penalty": 0.0})
        for name in ("mean", "aipw")
    ]
    assert [one.problems()[0].partition(": ")[0] for one in options] == ["allocation.estimator_options"] * 2


@pytest.mark.parametrize("settings", [
    {"policy": "informative", "items": 18, "race": "sequential", "rungs": 2},
    {"policy": "rotating", "items": 18, "race": "cut", "rungs": 2},
])  # fmt: skip
def test_pairs_of_equal_items_count_once(settings: dict[str, object], tmp_path: Path) -> None:
    """Every item twice, the two declared a cluster: the search is the one with every item once."""

    def twice(job: Job) -> Outcome:
        single = {task: tuple(dict.fromkeys(item[:-1] for item in ids)) for task, ids in job.items.items()}
        outcome = NOISY(replace(job, items=single))
        both = [replace(one, item=one.item + end) for one in outcome.responses for end in "ab"]
        return replace(outcome, responses=tuple(both))

    once = allocated("nsga2", 32, **settings)
    doubled = {
        s: {t: tuple(i + e for i in ids for e in "ab") for t, ids in own.items()} for s, own in once.items.items()
    }
    clusters = {item: item[:-1] for tasks in doubled.values() for ids in tasks.values() for item in ids}
    pairs = replace(once, items=doubled, clusters=clusters, allocation=replace(once.allocation, items=36))
    found = []
    for number, (work, worker) in enumerate([(once, NOISY), (pairs, twice)]):
        search(tmp_path / str(number), work, worker)
        store = RunStore.read(tmp_path / str(number))
        evaluations = [e for e in store.evaluations("search") if e.told is not None]
        assert max(e.ask.rung for e in evaluations) == 1
        found.append([(e.ask, e.items // (number + 1), *e.told.F, *(e.told.se or ())) for e in evaluations if e.told])
    assert [row[:2] for row in found[1]] == [row[:2] for row in found[0]]
    for one, other in zip(*found, strict=True):
        assert one[2:] == pytest.approx(other[2:])
