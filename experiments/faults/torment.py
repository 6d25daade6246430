"""Kills of a search at random moments, and what came of it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from evomerge.store import RunStore
from experiments.faults.grounds import Ground
from experiments.faults.trace import lines

APART = 4  # records between two kills but of drivers: a candidate that is hit twice in a row would have failed by right
_PATIENCE = 900.0  # seconds from one kill to the next, on machines that have much else to do


@dataclass
class Torment:
    """One search that is killed again and again until its kills are used up, then left to end.

    Args:
        start: Starts the search, or goes on with it.
        ground: Where it runs, and what of it may be killed beside the driver.
        folder: The run's folder.
        trace: File in which workers say what they begin.
        random: Chooses victims and moments.

    Attributes:
        kills: ``driver`` and each kind of victim to how many were killed.
    """

    start: Callable[[], subprocess.Popen[str]]
    ground: Ground
    folder: Path
    trace: Path
    random: np.random.Generator
    kills: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Nobody has been killed."""
        self.kills |= dict.fromkeys(("driver", *self.ground.victims), 0)

    def run(self, plan: Sequence[str], longest: float) -> None:
        """Kills each of ``plan`` in turn, up to ``longest`` seconds after the search has done something new.

        Every fourth kill of a driver comes at any moment after its start, in the middle of its imports or its replay.
        """
        driver, at = self.start(), recorded(self.folder)
        for number, victim in enumerate(plan):
            deadline = time.monotonic() + _PATIENCE
            blind = victim == "driver" and number % 4 == 3
            wanted = at + (1 if victim == "driver" else APART)
            while not blind and driver.poll() is None and recorded(self.folder) < wanted:
                assert time.monotonic() < deadline, f"{self.folder} does not get on"
                time.sleep(0.002)
            time.sleep(self.random.uniform(0.0, longest))
            if driver.poll() is not None:
                break  # it was done before all were killed
            if self._killed(victim, driver):
                self.kills[victim] += 1
            self.ground.replace()
            at = recorded(self.folder)
            if victim == "driver":
                driver.wait()
                driver = self.start()
        code = driver.wait(timeout=_PATIENCE)
        assert code == 0, f"the search in {self.folder} ended with code {code}"

    def _killed(self, victim: str, driver: subprocess.Popen[str]) -> bool:
        if victim == "driver":
            driver.kill()
            return True
        while driver.poll() is None:
            pids = list(self.ground.victims[victim](driver.pid))
            with contextlib.suppress(ProcessLookupError):
                if pids:
                    os.kill(pids[self.random.integers(len(pids))], signal.SIGKILL)
                    return True
            time.sleep(0.002)  # those that there were have just ended, and others are being started
        return False

    def result(self, undisturbed: Path) -> dict[str, object]:
        """Kills, candidates begun, how many more that is than without kills, and what `compared` finds."""
        begun, once = lines(self.trace), lines(undisturbed.parent / self.trace.name)
        return {"kills": self.kills, "begun": begun, **compared(self.folder, undisturbed), "repeats": begun - once}


def compared(folder: Path, undisturbed: Path) -> dict[str, int]:
    """Number of records, and of those that, with their answers, are not those of a search that nothing happened to."""
    ours, theirs = contents(folder), contents(undisturbed)
    return {"records": len(ours), "wrong": sum(ours.get(key) != theirs.get(key) for key in {*ours, *theirs})}


def recorded(folder: Path) -> int:
    """Number of evaluations that are on disk."""
    path = folder / "records" / "main.jsonl"
    return path.read_bytes().count(b'"evaluation":') if path.exists() else 0


def contents(folder: Path) -> dict[object, object]:
    """Each evaluation with its answers, by its place in the run, with what it was told.

    A record that is there twice would show as another number of lines in the folded file.
    """
    store = RunStore.read(folder)
    found: dict[object, object] = {}
    for evaluation in store.evaluations():
        answers = sorted((response.to_json() for response in store.responses(evaluation)), key=repr)
        found[evaluation.order, evaluation.digest] = (evaluation.to_json(), answers)
    whole = (folder / "evaluations.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(whole) == len(found), f"{folder} has {len(whole)} lines for {len(found)} evaluations"
    return found
