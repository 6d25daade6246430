"""The end of a shared run that no further driver could save."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from evomerge.cli.main import main
from evomerge.cli.verbs.search import interrupted
from evomerge.cli.verbs.worker import _drive
from evomerge.contracts.watching import wait_for
from evomerge.errors import InputError
from evomerge.executors import ExecutorSettings
from evomerge.lease import Lease
from evomerge.run.attach import WORK, write_config
from evomerge.run.cluster import sharing
from evomerge.run.cluster.settings import WorkerConfig
from evomerge.run.cluster.worker import ClusterWorker, name_here, named
from evomerge.run.run_config import RunConfig
from evomerge.run.status.facts import state_of
from tests.run.family import ROOT, Family

_TAKES_ONE_AND_DIES = """
import pathlib, sys, time
from evomerge.executors._folder.work import Signature, WorkFolder
work, me = WorkFolder(pathlib.Path(sys.argv[1])), Signature.of("doomed")
while not (lists := work.lists(work.names())):
    time.sleep(0.05)
work.sign(me)
assert work.claim(next(iter(work.read_list(lists[0])["jobs"])), me)
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


def nobody() -> subprocess.Popen[bytes]:
    """A driver that is not to be started."""
    raise AssertionError("the folder is out of reach")


def out_of_reach(folder: Path, grace: float) -> ClusterWorker:
    """A worker of a run that cannot be read just now: where a file was, there is a folder."""
    executor = ExecutorSettings("folder", options={"grace": grace})
    write_config(folder, replace(RunConfig(), executor=executor))
    (folder / WORK / "over.json").symlink_to(folder)
    return ClusterWorker(WorkerConfig(str(folder)), nobody, threading.Event())


def test_a_folder_that_is_out_of_reach_is_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    worker, said, reasons = out_of_reach(tmp_path, 600.0), [], []

    def waits() -> bool:
        said.append(capsys.readouterr().err)
        return "waiting until the file system is there again" in "".join(said)

    thread = threading.Thread(target=lambda: reasons.append(worker.run()), daemon=True)
    thread.start()
    wait_for(waits, 20)
    assert thread.is_alive()
    text, link = tmp_path / "text", tmp_path / "link"
    text.write_text(json.dumps({"reason": "evaluations", "failed": False}))
    link.symlink_to(text)
    link.replace(tmp_path / WORK / "over.json")  # in one step
    thread.join(20)
    assert reasons == ["over"]


def test_a_folder_that_stays_out_of_reach_is_left_to_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert out_of_reach(tmp_path, 1.0).run() == "left", "and so its task is queued again"
    assert "this worker leaves" in capsys.readouterr().err


def test_a_machine_that_is_refused_as_driver_works_as_long_as_another_one_drives(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Then its worker ends with what its driver said; meanwhile whoever asks for the status hears it too."""
    run = tmp_path / "run"
    write_config(run, replace(RunConfig(), executor=ExecutorSettings("folder", options={"grace": 1.0})))
    (run / "records").mkdir()
    worker, ended = ClusterWorker(WorkerConfig(str(run)), lambda: _drive(str(run)), threading.Event()), []
    written = json.loads((run / WORK / "config.json").read_text())
    written["config"]["models"] = [{"written": "by another version"}]
    (run / WORK / "config.json").write_text(json.dumps(written))

    def work() -> None:
        with pytest.raises(InputError) as caught:
            worker.run()
        ended.append(caught.value.problems)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    wait_for((run / WORK / "refused.json").exists, 60)
    another = Lease.take(run / "records")
    said: list[str] = []
    wait_for(lambda: "this worker goes on" in "".join(said) or bool(said.append(capsys.readouterr().err)), 60)
    assert main(["status", f"run={run}"]) == 0
    assert f"  a driver was refused on {socket.gethostname()}: " in capsys.readouterr().out
    thread.join(3.0)
    assert thread.is_alive(), "another one drives"
    another.release()
    thread.join(60)
    ((problem,),) = ended
    assert problem.startswith(
        f"nobody drives {run}, and this machine cannot: {run / WORK / 'config.json'} holds no conf"
    )
    sharing.reopen(run)
    assert state_of(run).refused == ()


def test_names_of_workers_are_names_of_files() -> None:
    """One in a folder of its own could not be missed when it is killed."""
    assert named("a/b") == "a-b"
    assert named("../../x") == "-x"
    assert named("") == named(None) == name_here()


def test_who_interrupts_a_driver_hears_that_workers_go_on() -> None:
    shared = replace(RunConfig(), executor=ExecutorSettings("folder"))
    assert "workers that share the run go on with it" in interrupted(shared)
    assert interrupted(RunConfig()) == "interrupted before the end; go on with the same command"
