"""A crowd of workers without models on one folder, as a program that can be started on another host.

``crowd.py FOLDER COUNT SECONDS``; a worker writes the number of every job that it runs to a log of its own. They leave
when a file ``stop`` is there.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from evomerge.contracts import workers
from evomerge.contracts.crowd import forked
from evomerge.evaluation import Job, Outcome


class Logging:
    """A worker that takes its time, and notes what it was asked; calling it is working."""

    def __init__(self, log: Path, seconds: float) -> None:
        self.log, self.seconds = log, seconds

    def __call__(self, job: Job) -> Outcome:
        with self.log.open("a") as log:
            log.write(f"{workers.number(job.id)}\n")
        time.sleep(self.seconds)
        return workers.square(job)


def main(folder: Path, count: int, seconds: float, grace: float) -> None:
    """Starts the workers, and ends them when they are to stop."""
    children = []
    for number in range(count):
        worker = Logging(folder / f"{number}.ran", seconds)
        children.append(forked(folder / "work", lambda worker=worker: worker, f"worker-{number}", grace))
    (folder / "crowd").write_text("\n".join(map(str, children)))
    while not (folder / "stop").exists():
        time.sleep(0.02)
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(os.environ["CROWD_GRACE"]))
