"""Asynchronous searches: any order of answers, recorded and repeated, budgets as in a search of batches."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evomerge.evaluation import Ask, Evaluation, Failure, Job, Outcome
from evomerge.executors import ExecutorError, Result, Worker
from evomerge.search import Budgets, RepeatedFailures, ReplayError, SearchPlan, SearchResult, run
from evomerge.search.events import Event, Told
from evomerge.search.loop import EMPTY_BATCHES
from evomerge.search.searchers import Observation, Proposal
from evomerge.store import RunStore
from tests.search.analytic import Analytic, analytic, plan
from tests.search.sessions import Counting, memory, status
from tests.search.shuffled import Shuffled

SIZE = 8


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with memory(tmp_path_factory.mktemp("steady")) as folder:
        yield folder


def work(searcher: str = "nsga2", **settings: Any) -> SearchPlan:
    return replace(plan(searcher, depth="linear", **settings), steady=SIZE, finalists=2)


def search(
    folder: Path, made: SearchPlan, capacity: int = 4, worker: Worker | None = None, **options: Any
) -> tuple[SearchResult, list[Job]]:
    counting, order = Counting(worker or Analytic(broken=0.2), []), options.pop("order", None)
    with RunStore.open(folder, {}, {}) as store:
        executor = Shuffled(lambda: counting, capacity, order)
        result = run(made, executor, store, **options)
    return result, counting.jobs


def searched(folder: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / "evaluations.jsonl").read_text().splitlines()]
    return [row for row in rows if row["split"] == "search" and row["batch"]]


def order(folder: Path) -> list[Ask]:
    """The places in the order in which their evaluations came."""
    return [turn.ask for turn in RunStore.read(folder).turns if turn.digest is None]


@pytest.mark.parametrize(
    "searcher",
    ["nsga2", *(pytest.param(name, marks=pytest.mark.slow) for name in ("de", "ga", "nsga3", "random", "smsemoa"))],
)
def test_an_order_of_answers_gives_the_records(searcher: str, tmp_path: Path) -> None:
    """Whatever it is, it is the only thing that chance decides: told in it again, all is the same."""
    result, jobs = search(tmp_path / "one", work(searcher))
    assert (result.reason, result.evaluations, result.batches, result.cut) == ("evaluations", 40, 5, False)
    came = order(tmp_path / "one")
    assert len(came) == 40
    assert came != sorted(came, key=lambda ask: ask.order), "four at work do not end in the order of the asks"
    places = [(row["batch"], row["index"]) for row in searched(tmp_path / "one")]
    assert places == [(batch, index) for batch in range(1, 6) for index in range(SIZE)]
    assert all(row["told"] for row in searched(tmp_path / "one"))
    search(tmp_path / "other", work(searcher), order=came)
    one, other = (tmp_path / name / "evaluations.jsonl" for name in ("one", "other"))
    assert other.read_bytes() == one.read_bytes()
    assert list(RunStore.read(tmp_path / "other").turns) == list(RunStore.read(tmp_path / "one").turns)
    again, jobs = search(tmp_path / "one", work(searcher))
    assert (again, jobs) == (result, []), "a finished run is repeated without a job"


def test_another_order_is_another_search(tmp_path: Path) -> None:
    forwards = [Ask("search", batch, index) for batch in range(1, 6) for index in range(SIZE)]
    latecomer = [*forwards[1:], forwards[0]]
    search(tmp_path / "one", work(), order=forwards)
    search(tmp_path / "other", work(), order=latecomer)
    assert order(tmp_path / "other") == latecomer
    one, other = ([row["digest"] for row in searched(tmp_path / name)] for name in ("one", "other"))
    assert one[:SIZE] == other[:SIZE], "the initial population"
    assert one != other


def test_as_many_are_at_work_as_there_are_workers(tmp_path: Path) -> None:
    """From the first ask to the last, more of them than the initial population too."""
    for capacity in (1, 3, 20):
        at_work: list[int] = []
        with RunStore.open(tmp_path / str(capacity), {}, {}) as store:
            executor = Shuffled(analytic, capacity)

            def note(event: Event, executor: Shuffled = executor, at_work: list[int] = at_work) -> None:
                if event.name == "scored" and event.evaluation.split == "search" and event.evaluation.batch:
                    at_work.append(len(executor._jobs))

            run(work(), executor, store, listeners=[note])
        assert at_work[: 40 - capacity] == [capacity] * (40 - capacity), "the next is at work before one is kept"
        assert at_work[40 - capacity :] == list(range(capacity))[::-1], "in the end all that was begun is told"


def test_workers_that_come_have_jobs_before_anything_ends(tmp_path: Path) -> None:
    at_work = []

    class Growing(Shuffled):
        def results(self, room: Callable[[], None] | None = None) -> Iterator[Result]:
            if room is not None:
                at_work.append(len(self._jobs))
                self.capacity = 4
                room()
                at_work.append(len(self._jobs))
            return super().results()

    with RunStore.open(tmp_path, {}, {}) as store:
        result = run(work(), Growing(analytic, 1), store)
    assert at_work == [1, 4]
    assert search(tmp_path, work()) == (result, []), "and the order is repeated"


def test_an_extended_search_repeats_its_order_and_goes_on(tmp_path: Path) -> None:
    """With other numbers of workers; and a smaller budget is the beginning of it."""
    before: list[bytes] = []
    for evaluations, capacity in ((3, 4), (21, 4), (22, 1), (37, 9)):
        result, jobs = search(tmp_path, work(evaluations=evaluations), capacity)
        assert result.evaluations == evaluations
        lines = (tmp_path / "records" / "main.jsonl").read_bytes().splitlines()
        assert lines[: len(before)] == before, "nothing that was recorded is changed"
        before = lines
        assert len({job.recipe.digest for job in jobs if job.ask.split == "search"}) == len(jobs) - sum(
            job.ask.split != "search" for job in jobs
        )
    smaller, jobs = search(tmp_path, work(evaluations=21))
    assert (smaller.reason, smaller.evaluations) == ("evaluations", 21)
    assert {job.ask.split for job in jobs} <= {"selection", "test"}
    again, jobs = search(tmp_path, work(evaluations=37))
    assert (again, [job for job in jobs if job.ask.split == "search"]) == (result, [])


def test_a_recipe_is_asked_once_and_told_to_all_who_proposed_it(tmp_path: Path) -> None:
    class Rounded:
        name = "rounded"

        def __init__(self) -> None:
            self.random = np.random.default_rng(0)
            self.asks = 0
            self.told: Counter[str] = Counter()

        def ask(self, n: int | None = None) -> list[Proposal]:
            assert n == 1
            self.asks += 1
            return [Proposal(f"{self.asks}.0", self.random.integers(0, 3, 2) / 2.0)]

        def tell(self, observations: Sequence[Observation]) -> None:
            self.told.update(one.id for one in observations)

    searchers = [Rounded(), Rounded()]
    made = replace(plan("nsga2", depth="model", evaluations=99), steady=SIZE, searcher=lambda *_: searchers[0])
    result, jobs = search(tmp_path, made)
    assert (result.reason, result.evaluations) == ("exhausted", 9), "all there are"
    assert max(Counter((job.recipe.digest, job.split) for job in jobs).values()) == 1
    assert set(searchers[0].told.values()) == {1}
    assert len(searchers[0].told) == searchers[0].asks > EMPTY_BATCHES * SIZE
    searchers.pop(0)
    again, jobs = search(tmp_path, made)
    assert (again, jobs) == (result, [])


def test_a_searcher_with_nothing_to_say_ends_the_search(tmp_path: Path) -> None:
    class Silent:
        name = "silent"

        def ask(self, n: int | None = None) -> list[Proposal]:
            return []

        def tell(self, observations: Sequence[Observation]) -> None:
            raise AssertionError("there is nothing to tell")

    made = replace(work(), searcher=lambda *_: Silent())
    result, _ = search(tmp_path, made)
    assert (result.reason, result.evaluations) == ("exhausted", 0)
    assert len(RunStore.read(tmp_path).turns) == EMPTY_BATCHES
    assert search(tmp_path, made)[0] == result


def improvements(evaluations: Sequence[Evaluation]) -> list[bool]:
    """Whether each is no failure and no earlier one is at least as good in both objectives; by hand."""
    found, points = [], list[tuple[float, float]]()
    for one in evaluations:
        point = (-one.metrics["north.acc"], one.metrics["south.loss"]) if one.error is None else None
        found.append(point is not None and not any(p[0] <= point[0] and p[1] <= point[1] for p in points))
        points += [point] if point else []
    return found


@pytest.mark.parametrize("straggler", [False, True])
def test_patience_counts_as_many_candidates_as_a_batch_has(straggler: bool, tmp_path: Path) -> None:
    """Where 16 in a row have brought nothing, no more is asked; the three at work are told, though one may improve."""
    heard: list[Event] = []
    made = work("random", budgets=Budgets(evaluations=400, patience=2))
    best = Ask("search", 1, 0)  # the uniform average, which nothing beats in both objectives
    late = [Ask("search", batch, index) for batch in range(1, 51) for index in range(SIZE)][1:] if straggler else None
    result, _ = search(tmp_path, made, listeners=[heard.append], order=late)
    assert result.reason == "patience"
    store = RunStore.read(tmp_path)
    came = order(tmp_path)
    improved = improvements([store.at(ask) or pytest.fail("lost") for ask in came])
    end = next(n for n in range(2 * SIZE, len(came) + 1) if not any(improved[n - 2 * SIZE : n]))
    assert result.evaluations == len(came) == end + 3, "of four at work three were left"
    if straggler:
        assert came[-1] == best
        assert improved[-1]
        assert best in {member.ask for member in result.front}
    told = [event.batch for event in heard if isinstance(event, Told)]
    assert told == list(range(1, result.evaluations // SIZE + 1))
    assert search(tmp_path, made) == (result, []), "it ends where it ended, whatever came after"
    longer, _ = search(tmp_path, replace(made, budgets=Budgets(evaluations=400, patience=4)))
    assert longer.evaluations > result.evaluations


def test_items_are_a_budget(tmp_path: Path) -> None:
    result, _ = search(tmp_path, work(budgets=Budgets(None, items=205)))
    assert (result.reason, result.evaluations) == ("items", 20), "ten each"


def test_stop_and_finish_tells_what_was_begun(tmp_path: Path) -> None:
    seen: list[int] = []
    result, _ = search(
        tmp_path,
        work(),
        progress=lambda progress: seen.append(progress.done if progress.phase == "search" else 0),
        stop=lambda: "finish" if seen and seen[-1] >= 11 else "none",
    )
    assert (result.reason, result.evaluations, result.confirmed) == ("stopped", 11 + 4, ())
    assert (status(tmp_path)["reason"], status(tmp_path)["finished"]) == ("stopped", False)
    after, _ = search(tmp_path, work())
    assert (after.reason, after.evaluations) == ("evaluations", 40)


def test_stop_now_loses_only_what_was_being_scored(tmp_path: Path) -> None:
    seen: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        search(
            tmp_path,
            work(),
            progress=lambda progress: seen.append(progress.done if progress.phase == "search" else 0),
            stop=lambda: "now" if seen and seen[-1] >= 11 else "none",
        )
    assert len(searched(tmp_path)) == 11
    asked = [turn for turn in RunStore.read(tmp_path).turns if turn.digest is not None]
    came = order(tmp_path)
    assert (len(asked), len(came)) == (11 + 4, 11)
    _, jobs = search(tmp_path, work())
    begun = {(turn.ask, turn.digest) for turn in asked if turn.ask not in came}
    assert begun <= {(job.ask, job.recipe.digest) for job in jobs}, "what was begun is started again"


def test_an_answer_is_kept_whatever_ends_the_search_then(tmp_path: Path) -> None:
    """The eleventh ends the search: nothing can be started beside it."""

    class Full(Shuffled):
        def submit(self, job: Job) -> None:
            if job.ask.split == "search" and job.ask.batch and self.ended == 11:
                raise ExecutorError("no worker can be started")
            super().submit(job)

        ended = 0

    executor = Full(analytic, 4)

    def count(job: Job) -> Outcome:
        executor.ended += bool(job.ask.split == "search" and job.ask.batch)
        return Analytic()(job)

    executor._worker = count
    with RunStore.open(tmp_path, {}, {}) as store, pytest.raises(ExecutorError):
        run(work(), executor, store)
    assert len(order(tmp_path)) == 11
    result, jobs = search(tmp_path, work(), worker=Analytic())
    assert (result.evaluations, sum(job.ask.split == "search" and job.ask.batch > 0 for job in jobs)) == (40, 29)


def test_failures_in_a_row_are_counted_as_they_come(tmp_path: Path) -> None:
    made = work(budgets=Budgets(40, max_failures=5))

    def failing(job: Job) -> Outcome:
        late = job.ask.split == "search" and job.ask.batch >= 2
        return Outcome(error=Failure("error", "no")) if late else Analytic()(job)

    with pytest.raises(RepeatedFailures, match="5 candidates in a row failed"):
        search(tmp_path, made, worker=failing)
    store = RunStore.read(tmp_path)
    errors = [(store.at(ask) or pytest.fail("lost")).error is not None for ask in order(tmp_path)]
    assert errors[-5:] == [True] * 5
    assert not errors[-6]
    with pytest.raises(RepeatedFailures):
        search(tmp_path, made, worker=failing)
    store = RunStore.read(tmp_path)
    more = [(store.at(ask) or pytest.fail("lost")).error is not None for ask in order(tmp_path)][len(errors) :]
    # One candidate more was tried, unless one that had been begun before the failures came first, and was none.
    assert more == [True] or (not more[0] and more[-6:] == [False] + [True] * 5)


def test_records_of_another_search_are_refused(tmp_path: Path) -> None:
    search(tmp_path, work(seed=0))
    with pytest.raises(ReplayError, match="is proposed as number 2 of batch 1"):
        search(tmp_path, work(seed=1))
