"""Isolates code that tasks bring along: random numbers of its own, and silence on the terminal."""

from __future__ import annotations

import contextlib
import io
import logging
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np


@contextlib.contextmanager
def isolated_rng(seed: int) -> Iterator[None]:
    """Runs code of tasks and of lm-eval repeatably, and without its log.

    Such code may draw from, or reseed, the global generators of ``random``, NumPy and torch. In here it draws the same
    numbers every time; outside nobody notices that it ran.

    Args:
        seed: The state that the global generators start from.
    """
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    restore = _seed_torch(seed)
    try:
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        with _unheard(logging.getLogger("lm_eval")):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        restore()


@contextlib.contextmanager
def _unheard(logger: logging.Logger) -> Iterator[None]:
    """Lets nobody hear a logger and those below it. Another level would empty the caches of all loggers there are."""
    handlers, propagate = logger.handlers, logger.propagate
    try:
        logger.handlers, logger.propagate = [logging.NullHandler()], False
        yield
    finally:
        logger.handlers, logger.propagate = handlers, propagate


def _seed_torch(seed: int) -> Callable[[], None]:
    """Seeds torch's generators where torch is loaded; a process that only folds responses does without it."""
    torch: Any = sys.modules.get("torch")
    if torch is None:
        return lambda: None
    # The generator itself: torch.manual_seed would also walk through all accelerators, which takes milliseconds.
    generator = torch.default_generator
    cpu = generator.get_state()
    cuda = torch.cuda.is_available() and torch.cuda.is_initialized()
    devices = torch.cuda.get_rng_state_all() if cuda else []
    generator.manual_seed(seed)
    if devices:
        torch.cuda.manual_seed_all(seed)

    def restore() -> None:
        generator.set_state(cpu)
        if devices:
            torch.cuda.set_rng_state_all(devices)

    return restore


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Holds back what libraries write to the terminal while tasks are built; problems are told in our own words."""
    with (
        _unheard(logging.getLogger("datasets")),
        contextlib.redirect_stderr(io.StringIO()),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        yield
