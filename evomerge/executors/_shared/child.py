"""The life of a worker process: make the worker, answer jobs until the pipe closes, never outlive the parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection, wait

from evomerge.errors import InputError
from evomerge.evaluation import Unusable
from evomerge.executors._shared.parcel import opened
from evomerge.executors._shared.protocol import call
from evomerge.imports import imported

__all__ = ["serve"]


def serve(pipe: Connection, environment: Mapping[str, str], parcel: bytes) -> None:
    """Runs in the child.

    Messages to the parent are ``("ready", None)``, ``("done", outcome)``, ``("unusable", text)``, ``("bad input",
    problems)`` and ``("broken", text)``; after the last three the process ends.

    Args:
        pipe: Jobs come in, messages go out.
        environment: Variables of this process, set before any library that computes is loaded.
        parcel: Makes the worker; opened here, as that loads such libraries.
    """
    os.environ.update(environment)
    # Ctrl-C goes to the whole terminal group; what it means is for the parent to say. It was blocked while Python
    # started.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        try:
            with imported():
                make_worker = opened(parcel)
            worker = make_worker()
        except InputError as error:
            pipe.send(("bad input", error.problems))
            return
        except Exception as error:
            pipe.send(("broken", f"{type(error).__name__}: {error}"))
            return
        pipe.send(("ready", None))
        while True:
            job = pipe.recv()
            try:
                outcome = call(worker, job)
            except Unusable as error:
                pipe.send(("unusable", str(error)))
                return
            pipe.send(("done", outcome))
    except (EOFError, OSError):
        return


def _die_with_parent() -> None:
    """Ends this process at once when the parent is gone, even in the middle of a long job."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
