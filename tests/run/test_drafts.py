"""Candidates that write are handed what earlier ones wrote, in runs that began so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from evomerge import executors
from evomerge.candidate import Worker
from evomerge.config import compose
from evomerge.evaluation import Job
from evomerge.run.search import prepare, search_plan
from evomerge.search import run
from evomerge.store import RunStore
from tests.candidate.verified import TOLD
from tests.run.family import Family, answers, records
from tests.search.sessions import Counting

SMALL = {
    "tasks": "[told,second]",
    "evaluations": 8,
    "items_per_task": 4,
    "test_items_per_task": 4,
    "searcher.population": 5,
    "model.dtype": "float32",
    "fitness.prefixes": "plain",
    "confirm.scales": "[0.5]",
}


@pytest.fixture
def writing(own_family: Family) -> Family:
    """A family that is asked to write."""
    (own_family.folder / "tasks" / "told.yaml").write_text(TOLD)
    return own_family


def test_jobs_of_models_that_write_bring_drafts_from_the_first_batch_on(writing: Family, tmp_path: Path) -> None:
    ready = prepare(compose.search(writing.words(tmp_path / "run", **SMALL)))
    assert ready.identity["fitness"]["drafts"] == "auto"
    jobs = list[Job]()
    worker = Counting(Worker(ready.settings, ready.assembly.suite), jobs)
    plan = replace(search_plan(ready.assembly), drafts=ready.settings.fitness.drafts != "off")
    with RunStore.open(tmp_path / "run", {}, {}) as store:
        run(plan, executors.make("local", lambda: worker), store)
        written = {ids for e in store.evaluations() for one in store.responses(e) for ids in one.ids}
        for one in (one for e in store.evaluations() for one in store.responses(e)):
            assert tuple(map(len, one.ids)) == one.tokens
    assert {job.ask.batch for job in jobs if job.split == "search"} == {0, 1, 2}
    for job in jobs:
        if job.split == "search":
            assert bool(job.drafts) == (job.ask.batch > 0)
        assert {ids for own in job.drafts.values() for ids in own} <= written
        assert set(job.drafts) <= set(job.items["told"]), "the other task's models choose"


def test_a_run_that_began_without_drafts_goes_on_so_and_one_with_them_is_another(
    writing: Family, tmp_path: Path, problems_of: Callable[..., str]
) -> None:
    run_dir, changes = tmp_path / "run", {**SMALL, "evaluations": 3, "confirm.finalists": 0}
    assert writing.search(run_dir, **changes, **{"fitness.drafts": "off"}) == 0
    before = records(run_dir)
    identity = RunStore.read(run_dir).manifest["identity"]["fitness"]
    assert "drafts" not in identity, "as in runs that began before there was a choice"
    assert writing.search(run_dir, **{**changes, "evaluations": 4}) == 0
    assert RunStore.read(run_dir).manifest["identity"]["fitness"] == identity
    assert records(run_dir)[: len(before)] == before
    assert writing.search(tmp_path / "other", **changes) == 0
    said = problems_of(["search", *writing.words(tmp_path / "other", **changes, **{"fitness.drafts": "off"})])
    assert 'fitness.drafts is "auto" there and absent now' in said


def test_models_that_write_nothing_have_the_identity_that_they_had(finished: Path) -> None:
    assert "drafts" not in RunStore.read(finished).manifest["identity"]["fitness"]


@pytest.mark.slow
def test_what_was_written_does_not_depend_on_the_number_of_workers(writing: Family, tmp_path: Path) -> None:
    for workers in (1, 3):
        options = {**SMALL, "executor": "processes", "executor.workers": workers}
        assert writing.search(tmp_path / str(workers), **options) == 0
    assert records(tmp_path / "1") == records(tmp_path / "3")
    assert answers(tmp_path / "1") == answers(tmp_path / "3")
