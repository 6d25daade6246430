"""The example of people as judges: a search whose objective is somebody's choices on a local page."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from evomerge.store import RunStore, candidates
from tests.run.family import Family, write_family

PROGRAM = Path(__file__).parents[2] / "experiments" / "example" / "people.py"
PROMPTS = [["the quick", "m"], ["a cat", "m"], ["four", "m"]]


@pytest.fixture
def page(tmp_path: Path) -> Iterator[str]:
    """The page's address, served by the program itself."""
    shutil.copy(PROGRAM, tmp_path / "people.py")
    (tmp_path / "prompts.json").write_text(json.dumps(PROMPTS))
    command = [sys.executable, str(tmp_path / "people.py"), "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.kill()


class Judge(threading.Thread):
    """Looks at the page and prefers the text that comes first in the alphabet, until it is dismissed."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.address, self.judged, self.dismissed = address, 0, threading.Event()

    def run(self) -> None:
        """Judges, and looks again a moment later."""
        while not self.dismissed.wait(0.01):
            self.look()

    def look(self) -> None:
        """Judges the pair that is shown, if there is one."""
        shown = urllib.request.urlopen(self.address, timeout=20).read().decode()
        texts = re.findall(r'<td><pre>(.*?)</pre><button name="choice" value="([^"]+)">', shown, re.DOTALL)
        if texts:
            sent = urllib.parse.urlencode({"choice": min(texts)[1]}).encode()
            urllib.request.urlopen(self.address, sent, timeout=20).read()
            self.judged += 1


def test_a_search_follows_a_persons_choices_and_asks_nobody_twice(page: str, tmp_path: Path) -> None:
    family: Family = write_family(tmp_path / "family")
    judge = Judge(page)
    judge.start()
    changes = {
        "tasks": None, "task_path": None, "items_per_task": None, "test_items_per_task": None, "evaluations": 6,
        "functions": f"[{tmp_path / 'people.py'}:preferred]", "searcher": "ga",
    }  # fmt: skip
    assert family.search(tmp_path / "run", **changes) == 0
    judge.dismissed.set()
    judge.join()
    found = candidates(RunStore.read(tmp_path / "run"))
    scores = [one.metrics["python.preferred"] for one in found]
    assert len(scores) == 6
    assert all(0.0 <= score <= 1.0 and (6 * score) % 1.0 == pytest.approx(0.0, abs=1e-9) for score in scores)
    questions, choices = (
        {path.name: path for path in (tmp_path / kind).iterdir()} for kind in ("questions", "choices")
    )
    assert questions.keys() == choices.keys()
    assert len(choices) == judge.judged > 0
    for key, path in questions.items():
        _, *texts = json.loads(path.read_text())
        assert texts[int(choices[key].read_text())] == min(texts), "what was chosen is what was preferred"
    # Nobody is there any more, and nobody is needed: another search of the same candidates finds all choices.
    assert family.search(tmp_path / "again", **changes) == 0
    assert [one.metrics for one in candidates(RunStore.read(tmp_path / "again"))] == [one.metrics for one in found]
