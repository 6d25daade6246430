"""Large libraries are imported without a search for garbage among what they make."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["imported"]


@contextmanager
def imported() -> Iterator[None]:
    """Lets the garbage collector rest, and then keeps what is there out of its later rounds.

    For a program of ours as it starts. PyTorch and transformers make some million objects that stay to the end; rounds
    of the collector over them take a fifth of the processor time of their import, and each later round would look at
    all of them again. Where the collector rests already nothing changes.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
