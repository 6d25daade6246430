"""Statistics where candidates are scored elsewhere, and of experts that are adapters."""

from __future__ import annotations

import functools
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from evomerge.contracts.watching import wait_for
from evomerge.run.export import export_member
from evomerge.store import RunStore
from tests.adapters import lora
from tests.apart import Apart, Forked
from tests.run.family import Family, answers, records
from tests.run.test_shared import WORKER
from tests.run.test_statistics import changes

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def alone(family: Family, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search in one process, beside the folder of its statistics; to be read only."""
    folder = tmp_path_factory.mktemp("alone")
    assert family.search(folder / "run", **changes(folder / "statistics")) == 0
    return folder


def told(run: Path) -> list[dict[str, object]]:
    """Records without what differs from session to session."""
    different = ("seconds", "writer", "attempt", "responses")
    return [{name: value for name, value in one.items() if name not in different} for one in records(run)]


def test_a_worker_that_shares_the_run_reads_the_folder(
    family: Family, alone: Path, program: Callable[..., Forked], apart: Apart, tmp_path: Path
) -> None:
    """The driver collects in a folder of this run's own, and the worker finds it there."""
    run = tmp_path / "run"
    words = family.words(run, executor="folder", **changes(tmp_path / "statistics"))
    both = [program(["search", *words]), apart.start(WORKER, str(run), "elsewhere", err=True)]
    try:
        wait_for(lambda: all(one.poll() is not None for one in both), 240.0)
    finally:
        for one in both:
            one.send_signal(signal.SIGKILL)
    assert [one.wait() for one in both] == [0, 0], [one.communicate()[1] for one in both]
    assert told(run) == told(alone / "run")
    assert answers(run) == answers(alone / "run")


def test_workers_of_a_ray_cluster_read_the_folder(family: Family, alone: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'evomerge[ray]'")
    run, words = tmp_path / "run", {"executor": "ray", "executor.workers": 1}
    assert family.search(run, **changes(tmp_path / "statistics"), **words) == 0
    assert told(run) == told(alone / "run")
    assert answers(run) == answers(alone / "run")


@pytest.mark.parametrize("method", ["fisher", "regmean"])
def test_adapters_are_looked_at_as_the_models_that_they_make(family: Family, tmp_path: Path, method: str) -> None:
    """One adapter and one whole model: each is read with its own weights, under the base's names."""
    base, run = family.folder / "base", tmp_path / "run"
    adapter = lora(base, tmp_path / "wide", 1, scale=0.3)
    own = {"models": f"[{adapter},{family.folder / 'one'}]", "base": base, "method": method, "evaluations": 5}
    search = functools.partial(family.search, run, **changes(tmp_path / "statistics", **own))
    assert search() == 0
    store = RunStore.read(run)
    assert [one["model"] for one in store.manifest["statistics"]] == ["wide", "one"]
    assert len({one["key"] for one in store.manifest["statistics"]}) == 2
    assert [one.error for one in store.evaluations()] == [None] * len(store.evaluations())
    assert export_member(run, "knee", tmp_path / "out").difference == 0.0
