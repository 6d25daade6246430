"""The example of people as judges: a search whose objective is somebody's choices on a local page."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from evomerge.store import RunStore, candidates
from tests.run.family import Family, write_family

PROGRAM = Path(__file__).parents[2] / "experiments" / "example" / "people.py"
PROMPTS = [["the quick", "m"], ["a cat", "m"], ["four", "m"]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A copy of the program at work."""
    shutil.copy(PROGRAM, tmp_path / "people.py")
    (tmp_path / "prompts.json").write_text(json.dumps(PROMPTS))
    command = [sys.executable, str(tmp_path / "people.py"), "0"]
    # Where tests run in the background Ctrl-C is ignored, and so it would be by what they start.
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    ) as server:
        yield server
        server.kill()


@pytest.fixture
def page(server: subprocess.Popen[str]) -> str:
    """Its address."""
    assert server.stdout is not None
    return server.stdout.readline().strip()


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
        texts = re.findall(r'<pre>(.*?)</pre><button name="([^"]+)" value="([^"]+)">', shown(self.address), re.DOTALL)
        if texts:
            _, key, side = min(texts)
            shown(self.address, {key: side})
            self.judged += 1


def shown(address: str, sent: dict[str, str] | None = None) -> str:
    """The page, after what is sent to it."""
    data = None if sent is None else urllib.parse.urlencode(sent).encode()
    found: str = urllib.request.urlopen(address, data, timeout=20).read().decode()
    return found


def pairs(folder: Path) -> list[tuple[Any, ...]]:
    """Prompt, both texts, and which of them was chosen."""
    with closing(sqlite3.connect(folder / "choices.db")) as file:
        return file.execute("SELECT prompt, one, other, better FROM pairs").fetchall()


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
    kept = pairs(tmp_path)
    assert len(kept) == len({pair[:3] for pair in kept}) == judge.judged > 0
    for _, *texts, better in kept:
        assert texts[better] == min(texts), "what was chosen is what was preferred"
    # Nobody is there any more, and nobody is needed: another search of the same candidates finds all choices.
    assert family.search(tmp_path / "again", **changes) == 0
    assert [one.metrics for one in candidates(RunStore.read(tmp_path / "again"))] == [one.metrics for one in found]
    assert pairs(tmp_path) == kept


def test_the_page_shows_texts_as_texts_and_counts_a_choice_once(page: str, tmp_path: Path) -> None:
    """Whatever a model writes, and whatever is sent."""
    assert "Nothing to judge" in shown(page)
    with closing(sqlite3.connect(tmp_path / "choices.db", isolation_level=None)) as file:
        file.execute("INSERT INTO pairs VALUES ('<b>Which?</b>', '<script>alert(1)</script>', '\"x\" & y', NULL)")
    text = shown(page)
    assert "<script>" not in text
    assert "<b>" not in text
    assert "<pre>&lt;script&gt;alert(1)&lt;/script&gt;</pre>" in text
    assert "<pre>&quot;x&quot; &amp; y</pre>" in text
    shown(page, {"nobody": "1", "7": "0"})
    assert [better for *_, better in pairs(tmp_path)] == [None]
    assert "Nothing to judge" in shown(page, {"1": "1"})
    shown(page, {"1": "0"})
    assert [better for *_, better in pairs(tmp_path)] == [1]


def test_a_browsers_idle_connection_does_not_keep_it_from_ending(page: str, server: subprocess.Popen[str]) -> None:
    with socket.create_connection(("127.0.0.1", urllib.parse.urlparse(page).port or 0)):
        assert "Nothing to judge" in shown(page), "it answers others meanwhile"
        server.send_signal(signal.SIGINT)
        server.wait(timeout=20)


def test_the_page_is_of_this_machine_alone(page: str) -> None:
    """Another address of it, which a server of all addresses would answer at, finds nobody."""
    port = urllib.parse.urlparse(page).port
    assert page == f"http://127.0.0.1:{port}"
    with pytest.raises(urllib.error.URLError, match="refused"):
        shown(f"http://127.0.0.2:{port}")
