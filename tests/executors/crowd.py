"""A crowd of workers without models on one folder, for tests: ``crowd.py FOLDER COUNT SECONDS``.

Each is a process of its own, forked so that it starts at once. A worker writes the number of every job that it runs to
a log of its own. They leave when a file ``stop`` is there; one that gets SIGTERM gives back what it is at.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

from evomerge.contracts import workers
from evomerge.evaluation import Job, Outcome
from evomerge.executors import Worker
from evomerge.executors.folder import FolderWorker, Pause, WorkFolder
from evomerge.executors.local import LocalExecutor


def main(folder: Path, count: int, seconds: float) -> None:
    """Forks the workers and waits for them."""
    children = [_forked(folder, number, seconds) for number in range(count)]
    (folder / "crowd").write_text("\n".join(map(str, children)))
    for child in children:
        os.waitpid(child, 0)


def _forked(folder: Path, number: int, seconds: float) -> int:
    child = os.fork()
    if not child:
        _serve(folder, number, seconds)
        os._exit(0)
    return child


def _serve(folder: Path, number: int, seconds: float) -> None:
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    log = (folder / f"{number}.ran").open("a")

    def logging() -> Worker:
        def work(job: Job) -> Outcome:
            log.write(f"{workers.number(job.id)}\n")
            log.flush()
            time.sleep(seconds)
            return workers.square(job)

        return work

    grace = float(os.environ.get("CROWD_GRACE", "60"))
    worker = FolderWorker(WorkFolder(folder / "work"), LocalExecutor(logging), f"worker-{number}", grace)
    pause = Pause(0.5)
    while not told.is_set() and not (folder / "stop").exists():
        if worker.turn(0.0):
            pause = Pause(0.5)
        else:
            told.wait(pause.next())
    worker.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
