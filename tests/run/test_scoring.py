"""How models run is settled at a run's start, told, and kept."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from evomerge.candidate import tuning
from evomerge.store import RunStore
from tests.apart import Forked
from tests.building import perturbed, tiny
from tests.candidate.clock import Clock
from tests.run.family import Family, answers, records, write_task

SHOTS = {"fitness.num_fewshot": 3, "evaluations": 6}


def test_shared_beginnings_change_no_score(family: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shared, plain = tmp_path / "shared", tmp_path / "plain"
    assert family.search(shared, **SHOTS) == 0
    assert "shared prefixes are run once" in capsys.readouterr().err
    assert RunStore.read(shared).manifest["identity"]["fitness"]["prefixes"] == "shared"
    assert family.search(plain, **SHOTS, fitness__prefixes="plain") == 0
    assert "every sequence is read whole" in capsys.readouterr().err
    identity = RunStore.read(plain).manifest["identity"]["fitness"]
    assert "prefixes" not in identity, "as in runs that began before it was recorded"
    assert family.search(plain, **SHOTS) == 0
    mine, theirs = answers(shared), answers(plain)
    baselines = {e.digest for e in RunStore.read(shared).evaluations("search") if e.name}
    for key in mine:
        if key[0] in baselines:
            for one, other in zip(mine[key], theirs[key], strict=True):
                assert one["logprobs"] == pytest.approx(other["logprobs"], abs=1e-4)
    assert [r["metrics"]["first.acc"] for r in records(shared)] == [r["metrics"]["first.acc"] for r in records(plain)]


def test_what_was_settled_is_the_runs_own(family: Family, finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = records(finished)
    assert family.search(finished) == 0
    assert "measuring" not in capsys.readouterr().err
    assert records(finished) == before
    assert family.search(finished, fitness__prefixes="plain") == 2
    assert "fitness.prefixes" in capsys.readouterr().err


def test_a_model_that_cannot_share_is_scored_whole_and_the_run_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "family"
    tiny("mamba", folder / "base", 0)
    for seed, name in enumerate(("one", "two"), start=1):
        perturbed(folder / "base", folder / name, seed, 0.1)
    (folder / "tasks").mkdir()
    write_task(folder / "tasks", "first", 10)
    write_task(folder / "tasks", "second", 11)
    run = tmp_path / "run"
    assert Family(folder).search(run, evaluations=6) == 0
    told = "every sequence is read whole: layers of type linear_attention"
    assert f"warning: {told}" in capsys.readouterr().err
    manifest = RunStore.read(run).manifest
    assert told in manifest["warnings"]
    assert "prefixes" not in manifest["identity"]["fitness"]
    assert manifest["identity"]["model"]["attention"] == "eager", "what transformers chose for a model without sdpa"
    before = records(run)
    assert Family(folder).search(run, evaluations=6, model__attention="eager") == 0
    assert records(run) == before
    assert told in RunStore.read(run).manifest["warnings"], "a run that goes on still says so"


def test_a_run_that_goes_on_measures_nothing_and_keeps_threads_and_number_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, run = tmp_path / "family", tmp_path / "run"
    tiny("llama", folder / "base", 0, dtype=torch.bfloat16, hidden_size=256, head_dim=4)
    for seed, name in enumerate(("one", "two"), start=1):
        perturbed(folder / "base", folder / name, seed, 0.01)
    (folder / "tasks").mkdir()
    write_task(folder / "tasks", "first", 10)
    write_task(folder / "tasks", "second", 11)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})

    def search(run: Path, clock: Clock, evaluations: int) -> tuple[str, int]:
        monkeypatch.setattr(tuning, "time", clock)
        few = {"items_per_task": 4, "test_items_per_task": 4, "confirm__finalists": 1}
        assert Family(folder).search(run, evaluations=evaluations, model__threads=None, **few) == 0
        identity = RunStore.read(run).manifest["identity"]["model"]
        assert RunStore.read(run).manifest["threads"] == identity["threads"]
        return identity["dtype"], identity["threads"]

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        # First the two number types are measured, each by eight readings; then two threads, then one.
        halves = Clock(lambda reading: (1.0, 0.5, 0.5, 1.0)[min((reading - 1) // 8, 3)])
        assert search(run, halves, 6) == ("bfloat16", 2)
        assert halves.readings == 32
        began = records(run)
        otherwise = Clock(lambda _: 1.0)
        assert search(run, otherwise, 9) == ("bfloat16", 2)
        assert otherwise.readings == 0
        assert torch.get_num_threads() == 2, "as the worker was told"
        assert len(records(run)) > len(began)
        assert search(tmp_path / "fresh", otherwise, 6) == ("float32", 1)
        assert otherwise.readings == 32
    finally:
        torch.set_num_threads(before)


def test_a_machine_without_a_compiler_gives_the_same_records_and_says_what_to_install(
    family: Family, finished: Path, tmp_path: Path, program: Callable[..., Forked]
) -> None:
    run = tmp_path / "run"
    process = program(["search", *family.words(run)], PATH=str(tmp_path), CC="")
    _, said = process.communicate()
    assert process.returncode == 0, said
    assert "merging is slower than it could be: there is no C compiler" in said
    assert RunStore.read(run).manifest["kernels"]["name"] == "torch"
    assert RunStore.read(finished).manifest["kernels"]["name"] == "native"
    assert records(run) == records(finished)
