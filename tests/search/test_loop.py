"""The loop: what is scored, what is told, and what is kept."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from evomerge import executors
from evomerge.errors import InputError
from evomerge.evaluation import Ask, Job, Outcome
from evomerge.search import (
    Budgets,
    Progress,
    ReplayError,
    run,
)
from evomerge.search.loop import EMPTY_BATCHES
from evomerge.search.searchers import Observation, Proposal
from evomerge.store import LeaseLost, RunStore
from tests.search.analytic import BASE, ITEMS, MODELS, Analytic, analytic, plan
from tests.search.sessions import search, status


def test_baselines_come_first_by_name(tmp_path: Path) -> None:
    _, jobs = search(tmp_path, plan("nsga2"))
    store = RunStore.read(tmp_path)
    first = store.evaluations("search")[:4]
    assert [e.name for e in first] == ["base", "expert:north", "expert:south", "uniform"]
    assert [(e.batch, e.index) for e in first] == [(0, 0), (0, 1), (0, 2), (0, 3)]
    assert [job.recipe.sources for job in jobs[:4]] == [(BASE,), (MODELS[0],), (MODELS[1],), MODELS]
    assert {e.items for e in store.evaluations("search")} == {10}, "all on the same items"
    assert all(e.name is None for e in store.evaluations("search")[4:])


def test_candidates_are_kept_where_they_were_asked(tmp_path: Path) -> None:
    work = plan("nsga2", evaluations=20)
    result, _ = search(tmp_path, work)
    candidates = [e for e in RunStore.read(tmp_path).evaluations("search") if e.batch]
    assert (result.reason, result.evaluations, result.batches) == ("evaluations", 20, 2)
    assert result.cut, "the third batch was begun"
    assert Counter(e.batch for e in candidates) == {1: 8, 2: 8, 3: 4}
    assert [e.index for e in candidates if e.batch == 3] == [0, 1, 2, 3]
    assert work.starts is not None
    assert [candidates[i].digest for i in (0, 1)] == [work.genome.decode(x).digest for x in work.starts]
    assert status(tmp_path)["phase"] == "done"


def test_nothing_is_scored_twice(tmp_path: Path) -> None:
    """A coarse genome, so that the searcher proposes some recipes again and again."""

    class Rounded:
        name = "rounded"

        def __init__(self) -> None:
            self.random = np.random.default_rng(0)
            self.told = 0

        def ask(self, n: int | None = None) -> list[Proposal]:
            return [Proposal(str(i), x) for i, x in enumerate(self.random.integers(0, 3, (8, 2)) / 2.0)]

        def tell(self, observations: Sequence[Observation]) -> None:
            assert [o.id for o in observations] == [str(i) for i in range(8)]
            assert {(o.F.shape, o.G.shape, o.items) for o in observations} == {((2,), (1,), 10)}, "repeats are told"
            self.told += 1

    searcher = Rounded()
    work = replace(plan("nsga2", depth="model", evaluations=99), searcher=lambda *_: searcher)
    result, jobs = search(tmp_path, work)
    assert max(Counter((job.recipe.digest, job.split) for job in jobs).values()) == 1
    assert result.reason == "exhausted"
    assert result.evaluations == 9, "all there are, and no repeat was counted"
    assert searcher.told == result.batches > EMPTY_BATCHES
    again, jobs = search(tmp_path, replace(work, searcher=lambda *_: Rounded()))
    assert jobs == []
    assert again == result


def test_confirmation_scores_baselines_and_finalists_once_on_the_test_split(tmp_path: Path) -> None:
    work = replace(plan("nsga2", evaluations=48), finalists=3)
    result, jobs = search(tmp_path, work)
    tested = RunStore.read(tmp_path).evaluations("test")
    assert list(result.confirmed) == tested
    assert [e.name for e in tested] == ["base", "expert:north", "expert:south", "uniform", None, None, None]
    assert {e.digest for e in tested[4:]} <= {e.digest for e in result.front}
    assert {(e.batch, e.items) for e in tested} == {(result.batches, 14)}
    assert [dict(job.items) for job in jobs if job.split == "test"] == [ITEMS["test"]] * 7
    further, jobs = search(tmp_path, replace(work, budgets=Budgets(evaluations=64)))
    assert max(Counter(e.digest for e in RunStore.read(tmp_path).evaluations("test")).values()) == 1
    assert not [job for job in jobs if job.split == "test" and job.recipe.sources != MODELS], (
        "baselines keep their scores"
    )
    assert [e.name for e in further.confirmed[:4]] == ["base", "expert:north", "expert:south", "uniform"]


def test_no_confirmation_without_finalists_or_items(tmp_path: Path) -> None:
    for name, work in {
        "finalists": replace(plan("nsga2", evaluations=8), finalists=0),
        "items": replace(plan("nsga2", evaluations=8), items={**ITEMS, "test": {}}),
    }.items():
        result, jobs = search(tmp_path / name, work)
        assert result.confirmed == ()
        assert not [job for job in jobs if job.split == "test"]


def test_records_of_another_search_do_not_replay(tmp_path: Path) -> None:
    search(tmp_path, plan("random", seed=0))
    log = tmp_path / "records" / "main.jsonl"
    lines = log.read_text().splitlines()
    row = json.loads(lines[6])
    assert (row["evaluation"]["batch"], row["evaluation"].pop("index")) == (1, 2)
    for index, recorded in ((99, "it as number 99 of batch 1"), (3, "it as number 3 of batch 1")):
        lines[6] = json.dumps({**row, "evaluation": {**row["evaluation"], "index": index}})
        log.write_text("\n".join(lines) + "\n")
        with pytest.raises(ReplayError, match=rf"as number 2 of batch 1, but the run has recorded {recorded}"):
            search(tmp_path, plan("random", seed=0))
    lines[6] = json.dumps({**row, "evaluation": {**row["evaluation"], "index": 2, "digest": "ab" * 32}})
    log.write_text("\n".join(lines) + "\n")
    with pytest.raises(ReplayError, match="the run has recorded recipe abababababab there"):
        search(tmp_path, plan("random", seed=0))


def test_a_replay_that_fails_names_the_versions_that_changed(tmp_path: Path) -> None:
    def session(versions: dict[str, str], seed: int) -> None:
        with RunStore.open(tmp_path, {"versions": versions}, {}) as store:
            run(plan("random", seed=seed), executors.make("local", Analytic), store)

    session({"numpy": "1.26", "cma": "4.0"}, 0)
    for _ in range(2):
        with pytest.raises(ReplayError, match=r"; the run began with numpy 1\.26 \(now 2\.1\)$"):
            session({"numpy": "2.1", "cma": "4.0"}, 1)
    session({"numpy": "1.26", "cma": "4.0"}, 0)
    assert "versions_at_start" not in RunStore.read(tmp_path).manifest
    with pytest.raises(ReplayError, match="other versions of numpy, pymoo or cma"):
        session({"numpy": "1.26", "cma": "4.0"}, 1)
    with pytest.raises(ReplayError, match=r"; was it made with other versions of optuna\?$"):  # not recorded then
        session({"numpy": "1.26", "cma": "4.0", "optuna": "5.0"}, 1)


def test_a_search_that_was_taken_over_leaves_its_successors_files_alone(tmp_path: Path) -> None:
    """Another process finishes the run while a job of this one takes its time."""
    work = plan("random", evaluations=8)
    finished: dict[str, bytes] = {}

    def slow(job: Job) -> Outcome:
        if job.ask == Ask("search", 1, 2) and not finished:
            (lease,) = (tmp_path / "records").glob(".lease.*")
            lease.unlink()  # as a successor does
            search(tmp_path, work)
            finished.update({path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()})
        return Analytic()(job)

    with pytest.raises(LeaseLost, match="taken over by another process"):
        search(tmp_path, work, slow)
    assert {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == finished
    assert len(finished["evaluations.jsonl"].splitlines()) == len(RunStore.read(tmp_path).evaluations())


def test_workers_change_nothing_but_the_time(tmp_path: Path) -> None:
    work = plan("nsga2", evaluations=24)
    search(tmp_path / "here", work, Analytic(broken=0.2))
    executor = executors.make("processes", partial(analytic, 0.2), workers=2)
    try:
        with RunStore.open(tmp_path / "there", {}, {}) as store:
            run(work, executor, store)
    finally:
        executor.close()
    rows = []
    for folder in ("here", "there"):
        store = RunStore.read(tmp_path / folder)
        rows.append([store.responses(e) for e in store.evaluations()])
    assert rows[0] == rows[1]
    folded = [(tmp_path / folder / "evaluations.jsonl").read_bytes() for folder in ("here", "there")]
    assert folded[0] == folded[1]


def test_progress_tells_what_is_known(tmp_path: Path) -> None:
    seen: list[Progress] = []
    result, _ = search(tmp_path, plan("nsga2", evaluations=20), Analytic(broken=0.2), progress=seen.append)
    assert [p.phase for p in seen[:4]] == ["baselines"] * 4
    assert [(p.done, p.total) for p in seen[:4]] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    searching = [p for p in seen if p.phase == "search"]
    assert [(p.done, p.total) for p in searching] == [(n, 20) for n in range(1, 21)]
    last = searching[-1]
    assert last.front == len(result.front)
    assert last.best["south.loss"] == min(e.metrics["south.loss"] for e in result.front)
    assert last.best["north.acc"] == max(e.metrics["north.acc"] for e in result.front)
    assert last.failures == sum(e.error is not None for e in RunStore.read(tmp_path).evaluations("search") if e.batch)
    assert last.remaining == 0.0
    assert searching[0].remaining is not None
    assert searching[0].remaining > 0.0
    confirming = [p for p in seen if p.phase == "confirmation"]
    assert confirming[-1].done == confirming[-1].total == len(result.confirmed)


def test_a_searcher_that_does_not_fit_says_so(tmp_path: Path) -> None:
    work = replace(plan("nsga2"), objectives=plan("ga").objectives)
    with pytest.raises(InputError, match="searcher nsga2 is for several objectives and there is 1"):
        search(tmp_path, work)
