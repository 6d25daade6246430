"""The whole program on a model so large that what narrow models never reach is reached: a pass takes seconds."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from evomerge.cli.main import main
from evomerge.store import RunStore
from experiments.merge_speed.models import generate
from tests.building import tiny_tokenizer
from tests.run.family import start, write_task


@pytest.fixture
def models(tmp_path: Path) -> Iterator[Path]:
    """A folder for gigabytes of weights, which are not left behind."""
    yield tmp_path / "models"
    shutil.rmtree(tmp_path / "models")


@pytest.mark.slow
def test_a_billion_parameters_in_float32_are_searched(tmp_path: Path, models: Path) -> None:
    """Takes 13 GB of memory and 9 GB of disk."""
    base, *experts = generate("1b", models)
    tiny_tokenizer(base)
    write_task(tmp_path, "quiz", 0, items=120)
    run = tmp_path / "run"
    # Nobody says how many threads: they are measured, which is where a large model differs.
    words = [
        f"models=[{','.join(map(str, experts[:2]))}]", f"base={base}", "method=task_arithmetic", "tasks=[quiz]",
        f"task_path={tmp_path}", "items_per_task=40", "test_items_per_task=4", "evaluations=2", "searcher=random",
        "genome=model", "model.dtype=float32", "progress=none", f"run_dir={run}", "confirm.finalists=1",
    ]  # fmt: skip
    process = start(["search", *words])
    _, told = process.communicate()
    assert process.returncode == 0, told
    assert re.search(r"models run in float32 with \d+ threads? per worker; shared prefixes are run once", told)
    evaluations = RunStore.read(run).evaluations()
    assert len(evaluations) >= 2 + 4  # candidates, and base, experts and average
    assert all(evaluation.error is None for evaluation in evaluations)
    assert (run / "report.html").is_file()


@pytest.mark.slow
def test_elites_of_a_billion_parameters_take_what_check_says(
    tmp_path: Path, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two elites of 2.5 GB: takes 17 GB of memory, of which most is mapped files, and 13 GB of disk."""
    base, *experts = generate("1b", models, ("one", "two"))
    tiny_tokenizer(base)
    write_task(tmp_path, "quiz", 0, items=60)
    run = tmp_path / "run"
    words = [
        f"models=[{','.join(map(str, experts))}]", f"base={base}", "method=task_arithmetic", "tasks=[quiz]",
        f"task_path={tmp_path}", "items_per_task=4", "test_items_per_task=2", "evaluations=6", "searcher=random",
        "genome=model", "model.threads=1", "progress=none", f"run_dir={run}", "confirm.finalists=0",
        "confirm.scales=[]", "rounds=2", "round.elites=2",
    ]  # fmt: skip
    assert main(["check", "--headers", *words]) == 0
    said = capsys.readouterr().out
    memory, disk = (
        float(re.search(pattern, said)[1]) * 1e9  # type: ignore[index]
        for pattern in (r"memory: ([\d.]+) GB per worker", r"disk: nothing per candidate; ([\d.]+) GB while the search")
    )
    process, stored = start(["search", *words], stdout=subprocess.DEVNULL), 0
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        with contextlib.suppress(FileNotFoundError):  # what was there a moment ago
            stored = max(stored, sum(path.stat().st_size for path in (run / "prepared").rglob("*") if path.is_file()))
        if pid:
            break
        time.sleep(0.5)
    assert os.waitstatus_to_exitcode(status) == 0
    assert 2 * 2.4e9 < stored <= 1.01 * disk
    assert 1024 * usage.ru_maxrss <= memory
    assert not (run / "prepared").exists()
    assert all(evaluation.error is None for evaluation in RunStore.read(run).evaluations())
