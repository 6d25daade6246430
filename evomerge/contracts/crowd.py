"""Workers of a shared folder as processes without models, for tests and studies: forked, so that they start at once."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evomerge.executors._folder.pause import Pause
from evomerge.executors._folder.work import WorkFolder
from evomerge.executors._folder.worker import FolderWorker
from evomerge.executors._shared.protocol import MakeWorker
from evomerge.executors.local import LocalExecutor

__all__ = ["crowd", "forked"]

_SLOWEST = 0.5  # seconds between two looks at the folder


@contextmanager
def crowd(folder: Path, make_worker: MakeWorker, count: int, grace: float = 60.0) -> Iterator[list[int]]:
    """Workers that work while this is entered, and leave in the end.

    Args:
        folder: Where they meet their driver.
        make_worker: Makes each one's worker.
        count: Number of processes.
        grace: Seconds without a sign of life after which one counts as gone.

    Yields:
        Their process ids.

    Raises:
        ChildProcessError: If one failed; what of, it has said on standard error.
    """
    children = [forked(folder, make_worker, f"worker-{number}", grace) for number in range(count)]
    try:
        yield list(children)
    finally:
        for child in children:
            os.kill(child, signal.SIGTERM)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    failed = [number for number, code in enumerate(codes) if code > 0]  # killed ones have negative codes
    if failed:
        raise ChildProcessError(f"worker-{failed[0]} failed, as {len(failed)} of {count} workers did")


def forked(folder: Path, make_worker: MakeWorker, name: str, grace: float = 60.0) -> int:
    """Starts one worker, which leaves when it gets SIGTERM; its process id. Its parent has to wait for it."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        told = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: told.set())
        worker = FolderWorker(WorkFolder(folder), LocalExecutor(make_worker), name, grace)
        pause = Pause(_SLOWEST)
        while not told.is_set():
            if worker.turn(0.0):
                pause = Pause(_SLOWEST)
            else:
                told.wait(pause.next())
        worker.leave()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)
