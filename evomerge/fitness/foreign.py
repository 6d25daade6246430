"""Runs code that tasks bring along: with random numbers of its own, and without noise on the terminal."""

from __future__ import annotations

import contextlib
import io
import logging
import random
from collections.abc import Iterator

import numpy as np
import torch


@contextlib.contextmanager
def foreign_code(seed: int) -> Iterator[None]:
    """Runs code of tasks and of lm-eval, silently and repeatably.

    Such code may draw from, or reseed, the global generators of ``random``, NumPy and torch. In here it draws the same
    numbers every time; outside nobody notices that it ran. Progress bars and hints of libraries are held back; errors
    still raise.

    Args:
        seed: What the global generators start from.
    """
    with _silence(), _own_randomness(seed):
        yield


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("lm_eval", "datasets")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def _own_randomness(seed: int) -> Iterator[None]:
    # The generator itself: torch.manual_seed would also walk through all accelerators, which takes milliseconds.
    generator = torch.default_generator
    python, numpy, cpu = random.getstate(), np.random.get_state(), generator.get_state()  # noqa: NPY002
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() and torch.cuda.is_initialized() else []
    try:
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        generator.manual_seed(seed)
        if devices:
            torch.cuda.manual_seed_all(seed)
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        generator.set_state(cpu)
        if devices:
            torch.cuda.set_rng_state_all(devices)
