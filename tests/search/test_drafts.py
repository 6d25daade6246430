"""Jobs bring what earlier candidates wrote: of batches that had ended, or where there are none, of what was told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from evomerge.evaluation import DRAFTS_KEPT, Evaluation, Job
from evomerge.search import run
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


def test_failures_and_answers_without_text_are_no_drafts(tmp_path: Path) -> None:
    _, jobs = search(tmp_path, search_plan("nsga2"), Analytic(broken=0.2))
    assert not any(job.drafts for job in jobs)
