"""Sweeps through Hydra's launcher plug-ins, for real; each is skipped where it is not installed."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.test_sweep import SEARCH

pytestmark = pytest.mark.slow
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
LAUNCHERS = {
    "joblib": ("hydra_joblib_launcher", ["hydra.launcher.n_jobs=2"]),
    "submitit_local": ("hydra_submitit_launcher", []),
    "ray": ("hydra_ray_launcher", ["hydra.launcher.ray.init.address=local", "+hydra.launcher.ray.init.num_cpus=2"]),
}


@pytest.fixture(params=LAUNCHERS)
def launcher(request: pytest.FixtureRequest) -> list[str]:
    """The words that choose a launcher."""
    package, words = LAUNCHERS[request.param]
    if (
        importlib.util.find_spec("hydra_plugins") is None
        or importlib.util.find_spec(f"hydra_plugins.{package}") is None
    ):
        pytest.skip(f"{package.replace('_', '-')} is not installed")
    return [f"hydra/launcher={request.param}", *words]


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "evomerge", "search", "-m", *SEARCH, *words]


def notes(folder: Path) -> dict[str, tuple[int, int]]:
    """Job to its exit code and when that was noted."""
    found = {path.stem: path for path in (folder / "jobs").glob("*.json")}
    return {name: (json.loads(path.read_text())["code"], path.stat().st_mtime_ns) for name, path in found.items()}


def test_jobs_run_side_by_side_fail_alone_and_are_not_run_again(workshop: Path, launcher: list[str]) -> None:
    name = f"launched-{launcher[0].partition('=')[2]}"
    folder = workshop / name
    words = command(f"run_dir={name}", "models=[A,B],[A,hollow]", *launcher)
    first = subprocess.run(words, cwd=workshop, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert first.returncode == 1, first.stderr
    before = notes(folder)
    assert sorted(code for code, _ in before.values()) == [0, 2], first.stderr
    assert first.stdout.count("| finished | 6 |") == 1
    assert first.stdout.count("| failed (2): ") == 1
    assert (folder / "report.html").is_file()
    assert not list((folder / "jobs").glob(".interrupts*"))

    assert subprocess.run(words, cwd=workshop, env=ENVIRONMENT, capture_output=True, check=False).returncode == 1
    after = notes(folder)
    assert {name for name in before if after[name] == before[name]} == {name for name in before if before[name][0] == 0}


def test_an_interrupt_lets_every_running_job_finish_its_batch(workshop: Path, launcher: list[str]) -> None:
    name = f"cut-{launcher[0].partition('=')[2]}"
    words = command(f"run_dir={name}", "models=[A,B]", "evaluations=50000", "seed=0,1", "progress=none", *launcher)
    with subprocess.Popen(
        words, cwd=workshop, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        until = time.monotonic() + 240
        while time.monotonic() < until and not all(begun(workshop / name / f"seed-{seed}") for seed in (0, 1)):
            assert running.poll() is None, running.communicate()
            time.sleep(0.2)
        running.send_signal(signal.SIGINT)
        table, messages = running.communicate(timeout=240)
    assert running.returncode == 130, messages
    for seed in (0, 1):
        assert f"| seed-{seed} | interrupted | " in table, messages
        status = json.loads((workshop / name / f"seed-{seed}" / "status.json").read_text())
        assert not status["finished"]
        assert status["evaluations"] % 16 == 0
        assert (workshop / name / f"seed-{seed}" / "report.html").is_file()
    assert not alive(name)


def begun(folder: Path) -> bool:
    """Whether a search has told a batch."""
    try:
        return bool(json.loads((folder / "status.json").read_text())["batches"])
    except (OSError, ValueError, KeyError):
        return False


def alive(name: str) -> list[str]:
    """Command lines of processes that still search in a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if f"run_dir={name}" in line:
                found.append(line)
    return found
