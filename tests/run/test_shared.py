"""A shared run in short: a driver and a worker that have nothing but its folder in common."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from evomerge.contracts.watching import wait_for
from tests.apart import Apart, Forked
from tests.run.family import Family, answers, records
from tests.run.shared import provenance

# What `evomerge worker` does, but for the driver and the process of its own, which would load all libraries anew.
WORKER = """
import functools, sys, time
from pathlib import Path
from evomerge.executors.folder import FolderWorker, WorkFolder
from evomerge.executors.local import LocalExecutor
from evomerge.run.cluster import sharing
from evomerge.run.cluster.worker_file import read_worker, worker_of

run = Path(sys.argv[1])
while read_worker(run) is None:
    time.sleep(0.01)
worker = FolderWorker(WorkFolder(run / "work"), LocalExecutor(functools.partial(worker_of, run)), sys.argv[2], 60.0)
while sharing.over(run) is None:
    if not worker.turn(0.0):
        time.sleep(0.01)
worker.leave()
"""


def test_records_are_those_of_one_process(
    family: Family, program: Callable[..., Forked], apart: Apart, tmp_path: Path
) -> None:
    run, small = tmp_path / "run", {"evaluations": 3, "items_per_task": 6, "test_items_per_task": 6}
    assert family.search(tmp_path / "alone", **small) == 0
    both = [
        program(["search", *family.words(run, executor="folder", **small)]),
        apart.start(WORKER, str(run), "elsewhere", err=True),
    ]
    try:
        wait_for(lambda: all(one.poll() is not None for one in both), 120.0)
    finally:
        for one in both:
            one.send_signal(signal.SIGKILL)
    assert [one.wait() for one in both] == [0, 0], [one.communicate()[1] for one in both]
    assert records(run) == records(tmp_path / "alone")
    assert answers(run) == answers(tmp_path / "alone")
    assert {name.split()[0] for name in provenance(run)} == {"elsewhere"}
    assert not (run / "work" / "jobs").exists()
