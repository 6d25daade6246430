"""Keeps the process-wide random generators out of what tasks compute, and tasks out of them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def sealed_randomness(seed: int) -> Iterator[None]:
    """Runs foreign code with known process-wide generators and leaves them as they were found.

    Code of a task may draw from, or reseed, the global generators of ``random``, NumPy and torch. Inside this context it draws
    the same numbers every time; outside nobody notices that it ran.

    Args:
        seed: What the generators start from inside.
    """
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() and torch.cuda.is_initialized() else []
    try:
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        torch.manual_seed(seed)
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.set_rng_state(cpu)
        if devices:
            torch.cuda.set_rng_state_all(devices)
