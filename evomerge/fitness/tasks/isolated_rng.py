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
    """Runs code of tasks and of lm-eval, repeatably and without their warnings.

    Such code may draw from, or reseed, the global generators of ``random``, NumPy and torch. In here it draws the same
    numbers every time; outside nobody notices that it ran.

    Args:
        seed: What the global generators start from.
    """
    # The generator itself: torch.manual_seed would also walk through all accelerators, which takes milliseconds.
    generator = torch.default_generator
    python, numpy, cpu = random.getstate(), np.random.get_state(), generator.get_state()  # noqa: NPY002
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() and torch.cuda.is_initialized() else []
    logger = logging.getLogger("lm_eval")
    level = logger.level
    try:
        logger.setLevel(logging.CRITICAL)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        generator.manual_seed(seed)
        if devices:
            torch.cuda.manual_seed_all(seed)
        yield
    finally:
        logger.setLevel(level)
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        generator.set_state(cpu)
        if devices:
            torch.cuda.set_rng_state_all(devices)


@contextlib.contextmanager
def no_progress_bars() -> Iterator[None]:
    """Holds back what libraries write to the terminal while tasks are built; problems are told in our own words."""
    logger = logging.getLogger("datasets")
    level = logger.level
    try:
        logger.setLevel(logging.CRITICAL + 1)
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
