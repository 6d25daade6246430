"""Whole searches on a GPU: scores as on the CPU, resumed as undisturbed, exported as scored."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import evomerge
from evomerge.store.folder import read_manifest
from tests.building import perturbed, tiny_llama
from tests.candidate.test_worker import job, make_worker
from tests.run.family import Family, answers, records, write_family, write_task


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Family:
    """Two experts of a model wide enough for matrix products that differ by order."""
    return write_family(tmp_path_factory.mktemp("family"), hidden=64)


def logprobs(run: Path) -> dict[tuple[str, str, str, str], tuple[float, ...]]:
    """Every recorded log-probability by candidate, split, task and item."""
    return {
        (digest, split, response["task"], response["item"]): tuple(response["logprobs"])
        for (digest, split), found in answers(run).items()
        for response in found
        if response.get("logprobs")
    }


def test_answers_are_those_of_the_cpu(family: Family, tmp_path: Path) -> None:
    asked = {"searcher": "random", "model__dtype": "float32", "confirm__finalists": 0}
    assert family.search(tmp_path / "cpu", model__device="cpu", **asked) == 0
    assert family.search(tmp_path / "cuda", model__device="cuda", **asked) == 0
    here, there = logprobs(tmp_path / "cpu"), logprobs(tmp_path / "cuda")
    assert here
    assert here.keys() == there.keys()
    for key, values in here.items():
        assert there[key] == pytest.approx(values, abs=2e-3), key


@pytest.mark.parametrize("executor", ["local", "processes"])
def test_the_same_bytes_again_and_after_a_stop(family: Family, tmp_path: Path, executor: str) -> None:
    asked = {"model__device": "cuda", "executor": executor, "executor__workers": 1 if executor == "local" else 2}
    assert family.search(tmp_path / "whole", **asked) == 0
    assert family.search(tmp_path / "parts", **asked | {"evaluations": 7}) == 0
    assert family.search(tmp_path / "parts", **asked) == 0
    whole, parts = records(tmp_path / "whole"), records(tmp_path / "parts")
    search = [entry for entry in whole if entry["split"] == "search"]
    assert [entry for entry in parts if entry["split"] == "search"] == search


def test_an_exported_candidate_is_verified_on_the_device(family: Family, tmp_path: Path) -> None:
    assert family.search(tmp_path / "run", model__device="cuda") == 0
    assert read_manifest(tmp_path / "run")["device"]["type"] == "cuda"
    done = evomerge.Run(tmp_path / "run").export("knee", tmp_path / "out")
    assert done.difference == 0.0


def test_a_candidate_without_memory_fails_alone(tmp_path: Path) -> None:
    tiny_llama(tmp_path / "base", 0)
    perturbed(tmp_path / "base", tmp_path / "one", 1, 0.1)
    write_task(tmp_path, "first", 10)
    (tmp_path / "functions.py").write_text(
        "import torch\n\n\ndef greedy(model, tokenizer):\n"
        "    return float(torch.empty(1 << 44, device=model.device).numel())\n"
    )
    worker = make_worker(tmp_path, "greedy", device="cuda")
    first = worker(job(worker, tmp_path, 0.3))
    assert first.error is not None
    assert first.error.kind == "oom"
    assert torch.cuda.memory_allocated() < 1 << 30
    plain = make_worker(tmp_path, device="cuda")
    assert plain(job(plain, tmp_path, 0.7, functions=False)).error is None
    assert (
        worker(job(worker, tmp_path, 0.7, functions=False)).responses
        == plain(job(plain, tmp_path, 0.7, functions=False)).responses
    )
