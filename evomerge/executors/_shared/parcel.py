"""Factories of workers on their way from one of the run's processes to another, as multiprocessing itself sends them.

A parcel is bytes in memory and in pipes, never in a file: nothing that anybody else could have written is opened. Where
it is opened later than it comes, its reader settles the process's environment first.
"""

from __future__ import annotations

from multiprocessing.reduction import ForkingPickler

from evomerge.executors._shared.protocol import MakeWorker

__all__ = ["opened", "packed"]


def packed(make_worker: MakeWorker) -> bytes:
    """The parcel of a factory.

    Raises:
        Exception: Of any kind, if the factory cannot be sent.
    """
    return bytes(ForkingPickler.dumps(make_worker))


def opened(parcel: bytes) -> MakeWorker:
    """The factory in a parcel; the libraries that it needs are loaded now."""
    make_worker: MakeWorker = ForkingPickler.loads(parcel)
    return make_worker
