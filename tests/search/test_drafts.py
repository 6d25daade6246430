"""Jobs bring what earlier candidates wrote: of batches that had ended, or where there are none, of what was told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from evomerge.evaluation import DRAFTS_KEPT, Evaluation, ItemLists, Job, Response
from evomerge.search import run
from evomerge.search.batch import Batch
from evomerge.search.draft_book import DraftBook
from evomerge.store import RunStore
from tests.search.analytic import Analytic
from tests.search.killing import search_plan, worker_of
from tests.search.sessions import Counting, search
from tests.search.shuffled import Shuffled
from tests.search.test_kill import tmp_path

__all__ = ["tmp_path"]


def written(store: RunStore, evaluations: Sequence[Evaluation], item: str) -> tuple[tuple[int, ...], ...]:
    """The last answers of some evaluations to an item."""
    found = list[tuple[int, ...]]()
    answered = set[str]()
    for evaluation in evaluations:
        if evaluation.digest in answered or not any(item in ids for ids in store.items(evaluation).values()):
            continue  # who is asked other items later does not answer this one again
        for response in store.find(evaluation.digest, {task: [item] for task in ("north", "south")})[0]:
            answered.add(evaluation.digest)
            found += response.ids
    return tuple(found)[-DRAFTS_KEPT:]


@pytest.mark.parametrize("name", ["nsga2", "nsga2+raced"])
def test_a_batch_gets_the_answers_of_those_before_it(name: str, tmp_path: Path) -> None:
    counting = Counting(worker_of(name)(), [])
    with RunStore.open(tmp_path, {}, {}) as store:
        run(search_plan(name), Shuffled(lambda: counting, 3), store)  # three at work, which end in any order
        searched = store.evaluations("search")
        jobs = [job for job in counting.jobs if job.split == "search"]
        for job in jobs:
            earlier = [e for e in searched if e.batch < job.ask.batch and not (e.name or "").startswith("scaled")]
            asked = [item for ids in job.items.values() for item in ids]
            for item in asked[::9]:
                assert job.drafts.get(item, ()) == written(store, earlier, item)
            same = [other for other in jobs if (other.ask.batch, other.ask.rung) == (job.ask.batch, job.ask.rung)]
            assert all(other.drafts is job.drafts for other in same if job.ask.batch)
    assert not any(job.drafts for job in jobs if job.ask.batch == 0), "nobody was asked before baselines"
    assert all(job.drafts for job in jobs if job.ask.batch > 0)
    assert max(len(answers) for job in jobs for answers in job.drafts.values()) == DRAFTS_KEPT


def test_promoted_candidates_get_what_baselines_wrote(tmp_path: Path) -> None:
    """And nothing else: who is promoted with them is another in a run that is extended."""
    work = search_plan("nsga2")
    _, jobs = search(tmp_path, work, worker_of("nsga2")())
    store = RunStore.read(tmp_path)
    for split in ("selection", "test"):
        baselines = [e for e in store.evaluations(split) if e.name is not None]
        asked = [job for job in jobs if job.split == split]
        first = [job for job in asked if job.recipe.digest in {e.digest for e in baselines}]
        assert asked[: len(first)] == first
        assert not any(job.drafts for job in first)
        for job in asked[len(first) :]:
            for item, answers in job.drafts.items():
                assert answers == written(store, baselines, item)
                assert answers


def test_an_asynchronous_candidate_gets_what_was_told_before_it_was_asked(tmp_path: Path) -> None:
    name, jobs = "nsga2@4", list[Job]()
    counting = Counting(worker_of(name)(), jobs)
    with RunStore.open(tmp_path, {}, {}) as store:
        run(search_plan(name), Shuffled(lambda: counting, 4), store)
        came = [e for e in store.evaluations("search") if e.batch == 0]
        drafts = {job.ask: job.drafts for job in jobs}
        for turn in store.turns:
            if turn.digest is None:
                came += [e for e in [store.at(turn.ask)] if e is not None]
            elif turn.ask in drafts:
                assert drafts[turn.ask] == {item: written(store, came, item) for item in drafts[turn.ask]}
                assert drafts[turn.ask]


@pytest.mark.parametrize("name", ["nsga2", "nsga2+raced", "nsga2@4"])
def test_a_run_without_drafts_reads_and_sends_none(name: str, tmp_path: Path) -> None:
    _, jobs = search(tmp_path, replace(search_plan(name), drafts=False), worker_of(name)())
    assert not any(job.drafts for job in jobs)


class Reading:
    """A store, counting whose answers are read."""

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self.read: list[str] = []

    def find(self, digest: str, items: ItemLists) -> tuple[list[Response], dict[str, tuple[str, ...]]]:
        self.read.append(digest)
        return self._store.find(digest, items)


@pytest.mark.parametrize("writes", [True, False])
def test_a_run_that_goes_on_reads_no_more_than_it_keeps(writes: bool, tmp_path: Path) -> None:
    work = replace(search_plan("nsga2", 60), finalists=0)
    search(tmp_path, work, replace(worker_of("nsga2")(), writes=writes))
    reading = Reading(RunStore.read(tmp_path))
    store, items = reading._store, work.items["search"]
    book, evaluations = DraftBook(cast(RunStore, reading), wanted=True), store.evaluations("search")
    for one in evaluations:
        book.add(Batch([], "search", one.batch, items), [one], number=one.batch)
    drafts = book.drafts(Batch([], "search", 99, items, history=98))
    asked = [item for ids in items.values() for item in ids]
    assert drafts == {item: written(store, evaluations, item) for item in asked if writes}
    assert len(reading.read) == (DRAFTS_KEPT if writes else 1) < len(evaluations) / 3


def test_failures_and_answers_without_text_are_no_drafts(tmp_path: Path) -> None:
    _, jobs = search(tmp_path, search_plan("nsga2"), Analytic(broken=0.2))
    assert not any(job.drafts for job in jobs)
