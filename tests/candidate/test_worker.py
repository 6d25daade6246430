"""A worker and the user's own metrics: whatever these do, candidates are asked as if nobody had done it."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evomerge import methods
from evomerge.candidate import (
    Worker,
    WorkerSettings,
    find_function,
    load_model,
    load_tokenizer,
    resolve_device,
    suite_digest,
)
from evomerge.errors import InputError
from evomerge.evaluation import PYTHON_ITEMS, Ask, Job, Unusable
from evomerge.fitness import FitnessSettings, TaskSuite
from evomerge.merging import merge_to_folder
from evomerge.recipe import CheckpointRef, Group, OutputLayer, ParameterGroups, Recipe
from tests.building import perturbed, tiny_llama
from tests.run.family import write_task

FUNCTIONS = """
import functools
import random

import numpy
import torch


def rough(model, tokenizer):
    assert not model.training and not torch.is_grad_enabled()
    assert model.generation_config.max_new_tokens != 3
    model.train()
    model.generation_config.max_new_tokens = 3
    model.generation_config.do_sample = True
    return random.random() + numpy.random.random() + float(torch.rand(()))


def again(model, tokenizer):
    return rough(model, tokenizer)


def endless(model, tokenizer):
    return float("inf")


def raising(model, tokenizer):
    model.train()
    torch.manual_seed(3)
    raise RuntimeError("no luck")


def leaving(model, tokenizer):
    raise SystemExit(3)


def silent(model, tokenizer):
    return None


def _two(model, tokenizer):
    return 1.0


@functools.wraps(_two)
def narrow(model):
    return 1.0
"""


_NARROW = FUNCTIONS.splitlines().index("def _two(model, tokenizer):") + 1
_LINE = FUNCTIONS.splitlines().index('    raise RuntimeError("no luck")') + 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints, a task and the functions."""
    folder = tmp_path_factory.mktemp("candidate")
    tiny_llama(folder / "base", 0)
    perturbed(folder / "base", folder / "one", 1, 0.1)
    write_task(folder, "first", 10)
    (folder / "functions.py").write_text(FUNCTIONS)
    return folder


def make_worker(folder: Path, *names: str, **changes: Any) -> Worker:
    fitness = FitnessSettings(("first",), (str(folder),), max_length=64)
    references = {name: CheckpointRef(str(folder / name)) for name in ("base", "one")}
    settings = WorkerSettings(
        references["base"],
        tuple((reference, reference.source) for reference in references.values()),
        fitness,
        suite_digest(TaskSuite.build(fitness, load_tokenizer(folder / "base"))),
        functions=tuple(find_function(f"{folder / 'functions.py'}:{name}") for name in names),
        **changes,
    )
    return Worker(settings)


def job(worker: Worker, folder: Path, amount: float, functions: bool = True) -> Job:
    """One expert's task vector, scaled, all items that it is searched on, and the functions."""
    items = {task: tuple(ids) for task, ids in worker.scorer.suite.items["search"].items()}
    options = methods.load("task_arithmetic").resolve({})
    base, one = (CheckpointRef(str(folder / name)) for name in ("base", "one"))
    groups = ParameterGroups((Group("model"),))
    values = {"weight": np.array([[amount]]), "lambda": np.ones(1)}
    recipe = Recipe("task_arithmetic", options, (one,), base, groups, values)
    return Job.of(recipe, items | (PYTHON_ITEMS if functions else {}), Ask("search", 1, 0))


def states() -> tuple[object, ...]:
    """The global generators."""
    numpy: Any = np.random.get_state()  # noqa: NPY002
    return random.getstate(), tuple(numpy[1]), numpy[2:], torch.get_rng_state().tolist()


def test_a_function_leaves_no_trace_and_draws_the_same_in_any_worker(folder: Path) -> None:
    before = states()
    worker = make_worker(folder, "rough", "again")
    clean = worker.live.model.generation_config.to_dict()
    scored = [worker(job(worker, folder, amount)) for amount in (0.2, 0.7)]
    assert [outcome.error for outcome in scored] == [None, None]
    assert not any(module.training for module in worker.live.model.modules())
    assert worker.live.model.generation_config.to_dict() == clean
    assert states() == before
    assert [outcome.responses[-1].key for outcome in scored] == [("python", "")] * 2
    drawn = [outcome.responses[-1].metrics[name] for outcome in scored for name in ("rough", "again")]
    assert len(set(drawn)) == 4, "each candidate and each metric has numbers of its own"

    random.seed(99)
    torch.manual_seed(99)
    fresh = make_worker(folder, "again", "rough")  # as after resume, in another order
    assert fresh(job(fresh, folder, 0.7)).responses == scored[1].responses
    assert fresh(job(fresh, folder, 0.7, functions=False)).responses == scored[1].responses[:-1]
    alone = replace(job(fresh, folder, 0.7), items=PYTHON_ITEMS)
    assert fresh(alone).responses == scored[1].responses[-1:], "as when all items are known"
    plain = make_worker(folder)
    assert plain(job(plain, folder, 0.7, functions=False)).responses == scored[1].responses[:-1]


@pytest.mark.parametrize("device", ["meta", "cuda:99", "gpu", "cpu "])
def test_a_device_that_computes_nothing_here_is_refused(device: str) -> None:
    with pytest.raises(InputError, match=f"model.device is '{device}'"):
        resolve_device(device)


def test_a_number_that_is_none_is_a_failure_of_that_kind(folder: Path) -> None:
    worker = make_worker(folder, "endless")
    error = worker(job(worker, folder, 0.5)).error
    assert error is not None
    assert (error.kind, error.message) == ("nonfinite", "the function python.endless returned inf")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("leaving", "raised SystemExit: 3"),
        ("silent", "FunctionError: python.silent returned None; expected a number"),
        ("narrow", f"(functions.py:{_NARROW}) raised TypeError: _two() takes 1 positional argument but 2 were given"),
    ],
)
def test_a_function_that_gives_no_number_fails_its_candidate_alone(folder: Path, name: str, expected: str) -> None:
    worker = make_worker(folder, name)
    error = worker(job(worker, folder, 0.5)).error
    assert error is not None
    assert error.kind == "error"
    assert expected in error.message


def test_a_function_that_raises_leaves_no_trace_either(folder: Path) -> None:
    before = states()
    worker = make_worker(folder, "raising")
    error = worker(job(worker, folder, 0.5)).error
    assert error is not None
    assert (error.kind, error.message) == (
        "error",
        f"FunctionError: python.raising (functions.py:{_LINE}) raised RuntimeError: no luck",
    )
    assert not any(module.training for module in worker.live.model.modules())
    assert states() == before


def test_models_of_other_shapes(folder: Path, tmp_path: Path) -> None:
    """Stacked layers, two layers of one model and a merge of merges score like their exported folders."""
    worker = make_worker(folder)
    plain = job(worker, folder, 0.5, functions=False)
    first = worker(plain)
    (one,) = plain.recipe.sources
    layer = OutputLayer(((0, 0),), base=0)
    values = {"weight": np.array([[0.7, 0.3]]), "lambda": np.ones(1)}
    recipes = [
        replace(plain.recipe, layers=(layer, OutputLayer(((0, 1),), base=1), layer)),
        replace(plain.recipe, layers=(OutputLayer(((0, 0), (0, 1)), base=0),), coefficients=values),
        replace(plain.recipe, sources=(one, plain.recipe), coefficients=values),
    ]
    for number, recipe in enumerate(recipes):
        outcome = worker(Job.of(recipe, plain.items, plain.ask))
        assert outcome.error is None
        assert outcome.responses != first.responses
        out = merge_to_folder(recipe, tmp_path / str(number))
        model = load_model(out, dtype="float32", attention="auto", device="cpu")
        again = worker.scorer.score(model, "search", plain.items)
        for ours, theirs in zip(outcome.responses, again, strict=True):
            assert ours.key == theirs.key
            assert ours.logprobs == pytest.approx(theirs.logprobs, abs=1e-5)
        assert worker(plain).responses == first.responses, "back in the reference's own shape"


def test_a_shape_that_cannot_be_built_is_a_failure_and_no_more(folder: Path) -> None:
    worker = make_worker(folder)
    plain = job(worker, folder, 0.5, functions=False)
    missing = replace(plain.recipe, layers=(OutputLayer(((0, 9),), base=0),))
    outcome = worker(Job.of(missing, plain.items, plain.ask))
    assert outcome.error is not None
    assert outcome.error.kind == "invalid"
    assert "layer 9 of sources[0]" in outcome.error.message
    assert worker(plain).error is None


def test_an_error_after_which_the_device_computes_no_more_is_not_the_candidates(folder: Path) -> None:
    """The same error is a failed candidate while sums still come out."""
    worker = make_worker(folder, "raising")
    failure = worker(job(worker, folder, 0.5)).error
    assert failure is not None
    assert failure.kind == "error"
    worker.device = torch.device("meta")  # which computes nothing
    with pytest.raises(Unusable, match="no luck"):
        worker(job(worker, folder, 0.5))


def test_weights_that_were_rounded_before_rounding_failed_are_not_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory ran out at the third layer; the same candidate then has the weights of an untouched worker."""
    worker, other = make_worker(folder, quantise="int8"), make_worker(folder, quantise="int8")
    asked, round_, left = job(worker, folder, 0.5, functions=False), torch.round, iter(range(2))

    def exhausted(tensor: torch.Tensor) -> torch.Tensor:
        if next(left, None) is None:
            raise torch.OutOfMemoryError("out of memory")
        return round_(tensor)

    with monkeypatch.context() as patched:
        patched.setattr(torch, "round", exhausted)
        failed = worker(asked)
    assert failed.error is not None
    assert failed.error.kind == "oom"
    found, expected = worker(asked), other(asked)
    assert found.responses == expected.responses
    assert worker.live.checksum() == other.live.checksum()
