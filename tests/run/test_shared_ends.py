"""The end of a shared run that no further driver could save."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from evomerge.cli.main import main
from evomerge.run.cluster import sharing
from tests.run.family import ROOT, Family

_TAKES_ONE_AND_DIES = """
import pathlib, sys, time
from evomerge.executors._folder.work import Signature, WorkFolder
work, me = WorkFolder(pathlib.Path(sys.argv[1])), Signature.of("doomed")
while not (lists := work.lists(work.names())):
    time.sleep(0.05)
work.sign(me)
assert work.claim(next(iter(work.read_list(lists[0]))), me)
"""


def test_a_candidate_that_is_lost_again_and_again_ends_the_run_for_all(family: Family, tmp_path: Path) -> None:
    """Else each worker would start one more driver, which counts from nothing."""
    run = tmp_path / "run"
    worker = subprocess.Popen([sys.executable, "-c", _TAKES_ONE_AND_DIES, str(run / "work")], cwd=ROOT)
    try:
        options = {"executor": "folder", "executor.retries": 0, "model.dtype": "float32", "fitness.prefixes": "plain"}
        assert family.search(run, **options) == 1
        assert worker.wait(10) == 0
    finally:
        worker.kill()
    over = sharing.over(run)
    assert over is not None
    assert over["failed"]
    assert "was lost 1 times" in over["reason"]
    assert main(["worker", f"run={run}", "workers=1"]) == 1
