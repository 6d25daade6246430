"""Several drivers of one folder, and clocks that jump while one of them holds it."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.drivers import drive
from tests.forks import SERVER
from tests.search.sessions import memory
from tests.search.test_kill import records

ROOT = Path(__file__).parents[2]
_APART = ["unshare", "--pid", "--fork", "--kill-child"]  # where other processes cannot be seen, as on another machine
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in memory, as every record waits for the disk."""
    with memory(tmp_path_factory.mktemp("drivers")) as folder:
        yield folder


@pytest.fixture
def wanted(place: Path) -> list[dict[str, Any]]:
    assert drive(place / "whole", 0.0) == "finished"
    return records(place / "whole")


def asks(folder: Path) -> Counter[tuple[Any, ...]]:
    """How often each ask has a record."""
    rows = map(json.loads, (folder / "records" / "main.jsonl").read_text().splitlines())
    found = [row["evaluation"] for row in rows if "evaluation" in row]
    return Counter((row["split"], row["batch"], row["index"], row["rung"]) for row in found)


def competing(folder: Path, said: Any) -> None:
    said.put(drive(folder, 0.002))


def contest(folder: Path, drivers: int, kill_after: float | None) -> list[str]:
    """Starts drivers at once; one of them may be killed. What became of the others."""
    said = SERVER.SimpleQueue()
    crowd = [SERVER.Process(target=competing, args=(folder, said)) for _ in range(drivers)]
    for one in crowd:
        one.start()
    if kill_after is not None:
        time.sleep(kill_after)
        crowd[0].kill()  # which may have ended already
    for one in crowd:
        one.join()
    return [said.get() for _ in range(drivers - (crowd[0].exitcode == -9))]


@pytest.mark.faults
def test_of_two_drivers_one_is_refused(place: Path, wanted: list[dict[str, Any]]) -> None:
    assert sorted(contest(place / "run", 2, None)) in (["finished", "refused"], ["finished", "finished"])
    assert records(place / "run") == wanted
    assert set(asks(place / "run").values()) == {1}


@pytest.mark.faults
def test_a_crowd_of_drivers_some_of_which_are_killed(place: Path, wanted: list[dict[str, Any]]) -> None:
    draw, fates = random.Random(0), Counter[str]()
    for contest_number in range(12):
        folder = place / str(contest_number)
        for _ in range(3):
            fates.update(contest(folder, 4, draw.uniform(0.0, 0.4)))
        assert drive(folder, 0.0) == "finished"
        assert records(folder) == wanted
        assert set(asks(folder).values()) == {1}, "nobody wrote beside another"
    assert fates["refused"] > 20
    assert set(fates) <= {"refused", "finished"}, "nobody lost what he held"


@pytest.mark.faults
@pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed")
@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not installed")
@pytest.mark.parametrize("apart", [False, True], ids=["on one machine", "as from another machine"])
def test_a_clock_that_jumps_takes_nobodys_lease(apart: bool, place: Path, wanted: list[dict[str, Any]]) -> None:
    """Hours forth and back, while a driver works, seen by it and by others who want its folder."""
    if apart and subprocess.run([*_APART, "true"], capture_output=True).returncode:
        pytest.skip("no namespace of processes may be made here")
    clock, folder = place / "clock", place / "run"
    clock.write_text("+0")
    faked = {
        **os.environ, "LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1", "FAKE_UTIME": "1",
    }  # fmt: skip
    words = [sys.executable, "-m", "tests.faults.drivers", str(folder)]
    holder = subprocess.Popen([*words, "1.0", "26"], cwd=ROOT, env=faked, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline().strip() == "driving"
    for jump in ("+2h", "-3h", "+0"):
        clock.write_text(jump)
        other = [*(_APART if apart else []), *words, "0", "26"]
        done = subprocess.run(other, cwd=ROOT, env=faked, capture_output=True, text=True)
        assert done.stdout.split() == ["refused"], (jump, done.stdout, done.stderr)
        assert holder.poll() is None, "the contest was while it held the folder"
    assert holder.stdout.read().strip() == "finished"
    assert holder.wait() == 0
    assert records(folder) == wanted
    assert set(asks(folder).values()) == {1}
