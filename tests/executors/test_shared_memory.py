"""Workers of one machine share the pages of checkpoints and of what is prepared: files are mapped, not read."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from evomerge.contracts.watching import wait_for
from experiments.faults.torment import children
from tests.run.family import start, write_family

# Stops each worker at its fifth candidate, when all that it maps has been touched.
HOLD = """
import os, time
from pathlib import Path

CALLS = []
FOLDER = Path(__file__).parent


def hold(model, tokenizer):
    CALLS.append(1)
    if len(CALLS) == 5:
        (FOLDER / f"{os.getpid()}.held").touch()
        while not (FOLDER / "go").exists():
            time.sleep(0.05)
    return 1.0
"""


def mapped(pid: int, folder: Path) -> dict[str, Counter[str]]:
    """File below the folder to kilobytes of its mappings by what ``smaps`` calls them, such as ``Pss``."""
    found: dict[str, Counter[str]] = {}
    here: Counter[str] = Counter()
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            path = line.split(maxsplit=5)[5] if len(line.split(maxsplit=5)) == 6 else ""
            here = found.setdefault(path, Counter()) if path.startswith(str(folder)) else Counter()
        elif line.endswith(" kB"):
            name, size = line.removesuffix(" kB").split(":")
            here[name] += int(size)
    return found


@pytest.mark.slow
def test_two_workers_have_the_same_pages(tmp_path: Path) -> None:
    family = write_family(tmp_path / "family", hidden=256)
    (tmp_path / "hold.py").write_text(HOLD)
    run = tmp_path / "run"
    changes = {"functions": f"[{tmp_path / 'hold.py'}:hold]", "executor": "processes", "method": "ties"}
    driver = start(["search", *family.words(run, **changes)])
    try:
        wait_for(lambda: len(list(tmp_path.glob("*.held"))) == 2 or driver.poll() is not None, 300)
        assert driver.poll() is None, driver.communicate()[1]
        workers = children(driver.pid)
        files = [mapped(pid, tmp_path) for pid in workers]
    finally:
        (tmp_path / "go").touch()
        assert driver.wait() == 0, driver.communicate()[1]
    assert len(files) == 2
    assert files[0].keys() == files[1].keys()
    checkpoints = {file for file in files[0] if file.endswith(".safetensors") and "/family/" in file}
    prepared = {file for file in files[0] if "/run/prepared/" in file}
    assert {Path(file).parent.name for file in checkpoints} == {"base", "one", "two"}
    assert prepared
    for file in checkpoints | prepared:
        for one in files:
            assert one[file]["Private_Dirty"] == 0, f"{file} has pages of the worker's own"
            # Pages that both have count half; those that one alone has touched, whole.
            assert one[file]["Pss"] <= 0.6 * one[file]["Rss"], file
