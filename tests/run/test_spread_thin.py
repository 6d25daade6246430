"""GPUs that workers see, beside what a model is to be spread over."""

from __future__ import annotations

from typing import Any

import pytest

from evomerge.candidate import ModelSettings
from evomerge.executors import ExecutorSettings
from evomerge.run.assemble import spread_thin
from evomerge.run.run_config import RunConfig


def told(count: int, name: str, device_map: tuple[str, ...] = (), **options: Any) -> tuple[str | None, str | None]:
    config = RunConfig(executor=ExecutorSettings(name, options=options), model=ModelSettings(device_map=device_map))
    return spread_thin(config, "cuda", count)


def test_a_model_is_not_spread_over_one_gpu_without_a_word() -> None:
    problem, _ = told(4, "processes", ("auto",))
    assert problem is not None
    assert "executor.options.gpus=2" in problem
    for count, options in ((1, {}), (4, {"gpus": 2})):
        assert told(count, "processes", ("auto",), **options) == (None, None)
    assert told(4, "local", ("auto",)) == (None, None), "it sees all"
    assert told(4, "folder", ("auto",), gpus=2) == (None, None)
    problem, note = told(0, "folder", ("auto",))
    assert (problem, note is None) == (None, False), "workers are elsewhere, and may have one GPU"


@pytest.mark.parametrize(("count", "each", "idle"), [(3, 2, 1), (5, 3, 2), (4, 2, 0), (1, 2, 0), (3, 1, 0)])
def test_gpus_that_no_worker_has_are_told(count: int, each: int, idle: int) -> None:
    _, note = told(count, "processes", gpus=each)
    assert (note is None) == (idle == 0)
    assert note is None or note.startswith(f"{idle} of {count} GPUs will be idle")
