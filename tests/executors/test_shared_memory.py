"""Workers of one machine share the pages of checkpoints and of what is prepared: files are mapped, not read."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from evomerge.contracts.watching import wait_for
from experiments.faults.grounds import children
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
        found = {file for one in files for file in one}
        sizes = {file: Path(file).stat().st_size / 1024 for file in found}
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
        # The model that candidates are written into is loaded from the reference's file, and is each worker's own.
        own = 1.05 * sizes[file] if Path(file).parent.name == "base" else 0.0
        assert all(one[file]["Anonymous"] <= own for one in files), f"{file} has been copied by a worker"
    # A page that both have counts half in each: together they have one file, though each has seen nearly all of it.
    both, each = (sum(one[file][name] for one in files for file in prepared) for name in ("Pss", "Rss"))
    assert both <= 1.05 * sum(sizes[file] for file in prepared) + 8 * len(prepared)
    assert each >= 1.5 * both
