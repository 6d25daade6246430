"""Failures: failed and infeasible candidates, rows of failures, and reasons that are not a candidate's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from evomerge.evaluation import Ask, Constraint, Failure, Job, Objective, Outcome, Response
from evomerge.executors import ExecutorError, Result, WorkerState
from evomerge.executors.local import LocalExecutor
from evomerge.search import (
    Budgets,
    EveryBaselineFailed,
    RepeatedFailures,
    run,
)
from evomerge.search.folding import Fold
from evomerge.store import RunStore
from tests.search.analytic import Analytic, means, plan
from tests.search.sessions import search, status


def test_infeasible_and_failed_candidates_are_never_on_the_front(tmp_path: Path) -> None:
    limit = Constraint("north.acc >= base + 0.4", "north.acc", ">=", 0.4, "base")
    result, _ = search(tmp_path, plan("nsga2", evaluations=60, constraints=(limit,)), Analytic(broken=0.3))
    records = RunStore.read(tmp_path).evaluations("search")
    base = next(e for e in records if e.name == "base")
    candidates = [e for e in records if e.batch]
    infeasible = [e for e in candidates if e.metrics and e.metrics["north.acc"] < base.metrics["north.acc"] + 0.4]
    assert any(e.error for e in candidates)
    assert infeasible
    assert result.front
    assert not {e.digest for e in result.front} & {e.digest for e in candidates if e.error or e in infeasible}


def test_no_feasible_candidate_is_an_empty_front(tmp_path: Path) -> None:
    impossible = Constraint("north.acc >= 2", "north.acc", ">=", 2.0)
    result, _ = search(tmp_path, plan("nsga2", constraints=(impossible,)))
    assert result.front == ()
    assert [e.name for e in result.confirmed] == ["base", "expert:north", "expert:south", "uniform"]


def test_failures_in_a_row_end_the_run_with_the_first_shown(tmp_path: Path) -> None:
    work = plan("nsga2", budgets=Budgets(evaluations=40, max_failures=5))
    failing = Analytic(everything_fails=True)
    with pytest.raises(
        RepeatedFailures, match=r"5 candidates in a row failed; the first: nonfinite: weight .* is cursed"
    ):
        search(tmp_path, work, failing)
    failures = [e for e in RunStore.read(tmp_path).evaluations() if e.error]
    # The uniform average comes first in the row: it is a merge too.
    assert [(e.batch, e.index) for e in failures] == [(0, 3), (1, 0), (1, 1), (1, 2), (1, 3)]
    assert (status(tmp_path)["reason"], status(tmp_path)["finished"]) == ("failures", False)
    with pytest.raises(RepeatedFailures, match="6 candidates in a row"):
        search(tmp_path, work, failing)
    assert len(RunStore.read(tmp_path).evaluations()) == 3 + 6, "each new start tries one candidate more"
    result, _ = search(tmp_path, work)
    assert result.reason == "evaluations", "and when the cause is gone, the run goes on"


def test_the_row_follows_the_order_of_asks_not_of_outcomes(tmp_path: Path) -> None:
    """Outcomes that come backwards: the good first candidate, heard last, ends no row but stands before it."""

    class Backwards:
        capacity = 1

        def __init__(self) -> None:
            self.jobs: list[Job] = []

        def submit(self, job: Job) -> None:
            self.jobs.append(job)

        def results(self, room: Callable[[], None] | None = None) -> Iterator[Result]:
            while self.jobs:
                job, index = self.jobs.pop(), len(self.jobs)
                fails = len(job.recipe.sources) > 1 and index > 0
                outcome = Outcome(error=Failure("error", f"number {index}")) if fails else Analytic()(job)
                yield Result(job.id, 1, "backwards", outcome)

        def workers(self) -> Sequence[WorkerState]:
            return ()

        def cancel(self, job: str) -> None:
            self.jobs = [other for other in self.jobs if other.id != job]

        def close(self) -> None:
            pass

    with RunStore.open(tmp_path, {}, {}) as store, pytest.raises(RepeatedFailures, match="the first: error: number 1"):
        run(plan("nsga2", budgets=Budgets(max_failures=4)), Backwards(), store)


def test_lost_results_are_the_executors_fault_and_end_no_search_quietly(tmp_path: Path) -> None:
    class Loses(LocalExecutor):
        def results(self, room: Callable[[], None] | None = None) -> Iterator[Result]:
            return (result for result in super().results() if not result.job.startswith("search-1-3"))

    work = plan("nsga2", evaluations=20)
    with (
        RunStore.open(tmp_path, {}, {}) as store,
        pytest.raises(ExecutorError, match="lost the results of 1 jobs, the first: search-1-3"),
    ):
        run(work, Loses(Analytic), store)
    result, jobs = search(tmp_path, work)
    assert (result.reason, len([job for job in jobs if job.split == "search"])) == ("evaluations", 13)


@pytest.mark.parametrize("sessions", [1, 2])
def test_failures_that_follow_from_earlier_ones_count_once(tmp_path: Path, sessions: int) -> None:
    """Two baselines and the last candidate fail; promotion knows of the baselines and asks nobody."""

    def worker(job: Job) -> Outcome:
        if job.ask in (Ask("search", 0, 0), Ask("search", 0, 1), Ask("search", 1, 7)):
            return Outcome(error=Failure("error", f"number {'I' * job.ask.index}"))
        return Analytic()(job)

    work = plan("random", budgets=Budgets(evaluations=8, max_failures=3))
    for _ in range(sessions):
        result, _ = search(tmp_path, work, worker)
    assert [e.error is not None for e in result.selected[:4]] == [True, True, False, False]
    assert [e.error is not None for e in result.confirmed[:4]] == [True, True, False, False]


@pytest.mark.parametrize(
    ("value", "kind", "said"),
    [
        (float("nan"), "nonfinite", "nan (float)"),
        ([1, float("inf")], "nonfinite", "[1, inf] (list)"),
        (1 + 2j, "error", "(1+2j) (complex)"),
        ({3: 1.0}, "error", "{3: 1.0} (dict)"),
    ],
)
def test_values_that_no_record_can_keep_are_failures(tmp_path: Path, value: object, kind: str, said: str) -> None:
    """Also those of a metric that nobody asked for, which has no aggregate then."""

    def worker(job: Job) -> Outcome:
        outcome = Analytic()(job)
        if len(job.recipe.sources) == 1 or job.recipe.digest[0] not in "0123":
            return outcome
        first, *rest = outcome.responses
        return replace(outcome, responses=(replace(first, metrics={**first.metrics, "odd": value}), *rest))

    def means_of_the_known(responses: Sequence[Response]) -> dict[str, float]:
        return means([replace(r, metrics={m: v for m, v in r.metrics.items() if m != "odd"}) for r in responses])

    search(tmp_path, replace(plan("nsga2"), aggregate=means_of_the_known), worker)
    failures = [e for e in RunStore.read(tmp_path).evaluations("search") if e.error]
    assert failures
    assert {e.error for e in failures} == {Failure(kind, f"north.odd of item 'n0' is {said}; expected finite numbers")}


def test_scores_that_are_not_finite_are_failures(tmp_path: Path) -> None:
    def worker(job: Job) -> Outcome:
        outcome = Analytic()(job)
        if len(job.recipe.sources) > 1 and job.recipe.digest[0] in "0123":
            nan = [
                replace(r, metrics={m: float("nan") for m in r.metrics}) for r in outcome.responses if r.task == "south"
            ]
            return replace(outcome, responses=(*(r for r in outcome.responses if r.task == "north"), *nan))
        return outcome

    search(tmp_path, plan("nsga2"), worker)
    failures = [e for e in RunStore.read(tmp_path).evaluations() if e.error]
    assert failures
    assert {e.error.message for e in failures if e.error} == {"a score is not finite: south.loss = nan"}
    assert all(e.metrics == {} for e in failures)


def test_an_objective_that_is_not_recorded_is_told_after_the_baselines(tmp_path: Path) -> None:
    work = replace(plan("random"), objectives=(Objective("north.f1", ((1.0, "north.f1"),)),))
    with pytest.raises(
        EveryBaselineFailed, match=r"error: no item records north\.f1 \(there are north\.acc, south\.loss\)"
    ):
        search(tmp_path, work)


def test_a_metric_without_finite_values_is_not_called_unrecorded() -> None:
    responses = [Response("north", "1", {"acc": 1.0, "f1": float("nan")}), Response("south", "1", {"loss": 2.0})]

    def failure(*required: str) -> str:
        _, found = Fold(lambda _: {"north.acc": 1.0, "south.loss": 2.0}, required)(responses)
        return f"{found.kind}: {found.message}" if found else "none"

    there = "(there are north.acc, south.loss)"
    assert failure("north.acc", "south.loss") == "none"
    assert failure("north.acc", "north.f1") == "nonfinite: no finite value of north.f1"
    assert failure("both.f1") == "nonfinite: no finite value of both.f1"
    assert failure("south.f1", "north.f1") == f"error: no item records south.f1 {there}"
    assert failure("both.bleu") == f"error: no item records both.bleu {there}"


def test_all_baselines_failing_for_one_reason_end_the_run_and_leave_nothing_behind(tmp_path: Path) -> None:
    def worker(job: Job) -> Outcome:
        raise IndexError(f"index {len(job.recipe.digest) + job.ask.index} is out of range")

    with pytest.raises(EveryBaselineFailed) as caught:
        search(tmp_path, plan("random"), worker)
    assert str(caught.value) == (
        "all 4 baselines failed for the same reason, so it does not lie in the candidates: error: IndexError: index 64 "
        "is out of range (nothing was recorded: once the cause is removed, repeat the command)"
    )
    assert RunStore.read(tmp_path).evaluations() == []
    assert (status(tmp_path)["reason"], status(tmp_path)["finished"]) == ("failures", False)
    result, _ = search(tmp_path, plan("random"))
    assert result.reason == "evaluations"


@pytest.mark.parametrize("quote", ["'", '"'])
def test_one_reason_may_quote_what_each_model_answered(tmp_path: Path, quote: str) -> None:
    def worker(job: Job) -> Outcome:
        answer = ("", "it's", "a\nb", "7")[job.ask.index]
        raise ValueError(f"no number: {quote}{answer}{quote}")

    with pytest.raises(EveryBaselineFailed, match="for the same reason"):
        search(tmp_path, plan("random"), worker)


def test_baselines_that_fail_for_different_reasons_or_beside_one_that_is_scored_are_recorded(tmp_path: Path) -> None:
    def worker(job: Job, broken: tuple[int, ...]) -> Outcome:
        if job.ask.batch == 0 and job.ask.index in broken:
            return Outcome(error=Failure("error", "odd" if job.ask.index % 2 else "even"))
        return Analytic()(job)

    for name, broken in (("some", (0, 2)), ("all", (0, 1, 2, 3))):
        search(tmp_path / name, plan("random", evaluations=8), partial(worker, broken=broken))
        records = RunStore.read(tmp_path / name).evaluations("search")
        assert [e.error is not None for e in records[:4]] == [index in broken for index in range(4)]
        assert len(records) == 4 + 8
        tested = RunStore.read(tmp_path / name).evaluations("test")
        assert [e.error is not None for e in tested[:4]] == [index in broken for index in range(4)], "it is final"
