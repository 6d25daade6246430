"""Code of tasks draws the same numbers every time, and nobody else's numbers change."""

from __future__ import annotations

import logging
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from evomerge.fitness.tasks.isolated_rng import isolated_rng


def draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.random()), float(torch.rand(()))  # noqa: NPY002


def test_inside_the_seed_decides_and_outside_nothing_changes() -> None:
    before = random.getstate(), torch.get_rng_state().tolist()
    with isolated_rng(3):
        inside = draw()
        random.seed(9)
        torch.manual_seed(9)
    with isolated_rng(3):
        assert draw() == inside
    with isolated_rng(4):
        assert draw() != inside
    assert (random.getstate(), torch.get_rng_state().tolist()) == before


def test_inside_nobody_hears_lm_eval(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logger, below = logging.getLogger("lm_eval"), logging.getLogger("lm_eval.api.task")
    for one in (logger, below):  # Hydra disables all loggers there are where a sweep begins, as in other tests
        monkeypatch.setattr(one, "disabled", False)
    own = logging.StreamHandler()
    logger.addHandler(own)
    try:
        with isolated_rng(3):
            logger.error("hidden")
            below.error("hidden")
        with isolated_rng(3):
            pass
        below.error("shown")
    finally:
        logger.removeHandler(own)
    assert [record.message for record in caplog.records] == ["shown"]
    assert capsys.readouterr().err == "shown\n"


def test_a_process_without_torch_stays_without() -> None:
    code = (
        "import sys; from evomerge.fitness.tasks.isolated_rng import isolated_rng; isolated_rng(1).__enter__(); "
        "print('torch' in sys.modules)"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "False"
