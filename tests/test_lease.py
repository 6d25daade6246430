"""One process writes a run at a time: the living are respected, the dead succeeded."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evomerge.errors import InputError
from evomerge.evaluation import Ask, ToldValues
from evomerge.lease import EXPIRY, Lease
from evomerge.store import LeaseLost, RunStore
from tests.store.test_store import answers, evaluation, opened

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys, time
from evomerge.store import RunStore
store = RunStore.open(sys.argv[1], {}, {})
print("open", flush=True)
time.sleep(600)
"""
CONTENDER = """
import sys, time
from evomerge.errors import InputError
from evomerge.store import RunStore
print("ready", flush=True)
sys.stdin.readline()
try:
    store = RunStore.open(sys.argv[1], {}, {})
    print("won", flush=True)
    sys.stdin.readline()
except InputError as error:
    print("refused" if "another process" in str(error) else error, flush=True)
"""

WRITING: list[Callable[[RunStore], object]] = [
    lambda store: store.append(evaluation("b", 0, 1), answers()),
    lambda store: store.tell({Ask("search", 0, 0): ToldValues((0.5,), (0.0,))}),
    lambda store: store.log_event({"event": "told"}),
    lambda store: store.write_json("status.json", {}),
    lambda store: store.write_text("report.md", ""),
    lambda store: store.fold(),
]


def started(script: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def leases(folder: Path) -> list[Path]:
    return sorted((folder / "records").glob(".lease.*"))


def forged(folder: Path, age: float = 0.0, **changes: Any) -> Path:
    """Leaves a lease behind as this process would have written it, but for some fields, so many seconds ago."""
    with opened(folder):
        (lease,) = leases(folder)
        holder = json.loads(lease.read_text())
    lease.write_text(json.dumps(holder | changes))
    stamp = lease.stat().st_mtime - age
    os.utime(lease, (stamp, stamp))
    return lease


def reading(
    monkeypatch: pytest.MonkeyPatch, file: Path, gives: str | None = None, then: Callable[[], None] | None = None
) -> None:
    """Lets a file read as some text, or lets something happen once after it has been read."""
    read = Path.read_text

    def reads(path: Path, *args: Any, **options: Any) -> str:
        if path != file:
            return read(path, *args, **options)
        text = read(path, *args, **options) if gives is None else gives
        if then is not None:
            monkeypatch.undo()
            then()
        return text

    monkeypatch.setattr(Path, "read_text", reads)


def test_a_living_process_is_respected_and_named(tmp_path: Path) -> None:
    with opened(tmp_path):
        with pytest.raises(InputError, match=rf"another process, number {os.getpid()} on this machine"):
            opened(tmp_path)
        RunStore.read(tmp_path)
    assert leases(tmp_path) == []
    opened(tmp_path).close()


def test_a_killed_process_is_succeeded_at_once(tmp_path: Path) -> None:
    holder = started(HOLDER, tmp_path)
    assert said(holder) == "open"
    with pytest.raises(InputError, match=f"number {holder.pid} on this machine"):
        RunStore.open(tmp_path, {}, {})
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with RunStore.open(tmp_path, {}, {}):
        assert [path.name for path in leases(tmp_path)] == [".lease.2"]


@pytest.mark.parametrize("changes", [{"started": "1"}, {"pid": 2**22 + 1}, {"boot": "another", "processes": "others"}])
def test_a_process_whose_number_or_machine_began_anew_is_dead(tmp_path: Path, changes: dict[str, Any]) -> None:
    forged(tmp_path, **changes)
    opened(tmp_path).close()


@pytest.mark.parametrize(
    "changes", [{"machine": "node7 123", "host": "node7"}, {"processes": "pid:[7]", "host": "a container"}]
)
def test_a_process_that_cannot_be_seen_is_dead_when_it_renews_no_more(tmp_path: Path, changes: dict[str, Any]) -> None:
    lease = forged(tmp_path, **changes)
    with pytest.raises(InputError, match=rf"number \d+ on {changes['host']}, .* in \d+ seconds, .* removing .*lease"):
        opened(tmp_path)
    os.utime(lease, (lease.stat().st_mtime - EXPIRY,) * 2)
    opened(tmp_path).close()


def test_a_lease_that_was_never_written_is_young_or_dead(tmp_path: Path) -> None:
    lease = forged(tmp_path)
    lease.write_text("")
    with pytest.raises(InputError, match="which has just begun"):
        opened(tmp_path)
    os.utime(lease, (lease.stat().st_mtime - EXPIRY,) * 2)
    opened(tmp_path).close()


def test_who_was_taken_for_dead_writes_no_more(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.append(evaluation("a", 0, 0), answers())
        (lease,) = leases(tmp_path)
        lease.rename(lease.with_name(".lease.2"))  # as a successor would
        with pytest.raises(LeaseLost, match="taken over by another process"):
            store.append(evaluation("b", 0, 1), answers())
    assert [e.digest for e in RunStore.read(tmp_path).evaluations()] == ["a"]


def test_who_was_taken_for_dead_leaves_a_later_lease_of_its_number_alone(tmp_path: Path) -> None:
    """A successor came and went, so that numbers began anew while the first one slept."""
    sleeper = opened(tmp_path)
    (lease,) = leases(tmp_path)
    lease.rename(lease.with_name(".lease.2"))  # as a successor would
    lease.with_name(".lease.2").unlink()
    with opened(tmp_path) as store:
        assert leases(tmp_path) == [lease]
        with pytest.raises(LeaseLost):
            sleeper.append(evaluation("a", 0, 0), answers())
        sleeper.close()
        assert leases(tmp_path) == [lease], "what the sleeper releases is not its own"
        store.append(evaluation("b", 0, 0), answers())
    assert [e.digest for e in RunStore.read(tmp_path).evaluations()] == ["b"]


def test_who_was_taken_for_dead_overwrites_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.append(evaluation("a", 0, 0), answers())
        (lease,) = leases(tmp_path)
        lease.rename(lease.with_name(".lease.2"))
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        for call in WRITING:
            with pytest.raises(LeaseLost, match="taken over by another process"):
                call(store)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_lease_is_of_the_folder_not_of_a_writers_name(tmp_path: Path) -> None:
    with RunStore.open(tmp_path, {}, {}, writer="one"), pytest.raises(InputError, match="another process"):
        RunStore.open(tmp_path, {}, {}, writer="two")


def test_a_run_that_began_while_the_lease_was_waited_for_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process makes the empty folder its own between the first look and the lease."""

    class Late(Lease):
        @classmethod
        def take(cls, folder: Path) -> Lease:
            monkeypatch.undo()
            opened(tmp_path, seed=1).close()
            return Lease.take(folder)

    monkeypatch.setattr("evomerge.store.run.Lease", Late)
    with pytest.raises(InputError, match="seed is 1 there and 0 now"):
        opened(tmp_path)
    assert leases(tmp_path) == []
    assert RunStore.read(tmp_path).manifest["identity"]["seed"] == 1


def test_a_lease_that_is_released_while_it_is_looked_at_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = forged(tmp_path, machine="node7 123", host="node7")
    look = Path.stat

    def released(path: Path, **options: Any) -> os.stat_result:
        if path == lease:
            lease.unlink(missing_ok=True)
        return look(path, **options)

    monkeypatch.setattr(Path, "stat", released)
    opened(tmp_path).close()


def test_who_comes_late_to_a_dead_lease_robs_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it looks at the dead one, another succeeds that and goes, and a third takes the first number."""
    lease = forged(tmp_path, started="1")
    third: list[Lease] = []

    def meanwhile() -> None:
        lease.unlink()
        third.append(Lease.take(lease.parent))

    reading(monkeypatch, lease, then=meanwhile)
    with pytest.raises(InputError, match=f"another process, number {os.getpid()} on this machine"):
        opened(tmp_path)
    third[0].check()
    assert leases(tmp_path) == [lease]
    third[0].release()


def test_a_process_that_is_hidden_is_dead_when_it_renews_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where other users' processes are hidden, a living one of theirs has no entry in ``/proc``."""
    lease = forged(tmp_path)
    reading(monkeypatch, Path(f"/proc/{os.getpid()}/stat"), gives="")
    with pytest.raises(InputError, match=rf"number {os.getpid()} on .* removing .*lease"):
        opened(tmp_path)
    os.utime(lease, (lease.stat().st_mtime - EXPIRY,) * 2)
    opened(tmp_path).close()


def test_machines_without_an_id_are_told_apart_by_their_boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two containers of one name on two machines: the other one is alive, its machine was not started anew."""
    reading(monkeypatch, Path("/etc/machine-id"), gives="")
    forged(tmp_path)
    reading(monkeypatch, Path("/proc/sys/kernel/random/boot_id"), gives="another")
    with pytest.raises(InputError, match="as far as can be seen from here"):
        opened(tmp_path)


def test_a_file_system_without_second_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", str(target), None, str(path))

    monkeypatch.setattr(Path, "hardlink_to", refused)
    with opened(tmp_path) as store:
        with pytest.raises(InputError, match="on this machine"):
            opened(tmp_path)
        store.append(evaluation("a", 0, 0), answers())
    assert [path.name for path in (tmp_path / "records").iterdir()] == ["main.jsonl"]


def test_a_folder_that_is_removed_is_no_longer_written(tmp_path: Path) -> None:
    with opened(tmp_path / "run") as store:
        shutil.rmtree(tmp_path / "run")
        with pytest.raises(LeaseLost, match=r"run has been removed"):
            store.append(evaluation("a", 0, 0), answers())
    assert list(tmp_path.iterdir()) == []


def test_of_many_that_succeed_a_dead_process_one_writes(tmp_path: Path) -> None:
    lease = forged(tmp_path, started="1")
    (tmp_path / "manifest.json").unlink()
    contenders = [started(CONTENDER, tmp_path) for _ in range(4)]
    assert {said(contender) for contender in contenders} == {"ready"}
    for contender in contenders:
        assert contender.stdin is not None
        contender.stdin.write("go\n")
        contender.stdin.flush()
    results = [said(contender) for contender in contenders]
    for contender in contenders:
        contender.communicate()
    assert sorted(results) == ["refused"] * 3 + ["won"]
    assert not lease.exists()
