"""Searches whose driver and workers are killed at random moments end as if nothing had happened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments.faults import study
from experiments.faults.torment import Torment, children, compared


def tormented(kind: str, plan: list[str], folder: Path, name: str = "killed") -> dict[str, object]:
    """What came of a search that was killed so."""
    whole = study.undisturbed(kind, "processes", folder)
    killed, chosen = folder / name, study.KINDS[kind]
    torment = Torment(
        lambda: study.start(chosen, "processes", killed),
        children,
        killed / "run",
        killed / study.TRACE,
        np.random.default_rng(len(plan)),
    )
    torment.run(plan, chosen.longest)
    return torment.result(whole)


def test_a_few_kills(tmp_path: Path) -> None:
    """What was scored again is what was at work then; one digit that is wrong is found out."""
    found = tormented("cheap", ["worker", "driver"], tmp_path)
    assert found["kills"] == {"driver": 1, "worker": 1}
    assert found["wrong"] == 0
    assert isinstance(found["repeats"], int)
    assert 0 <= found["repeats"] <= 2 * 1 + 1, "two workers lose what they are at with their driver"
    answers = tmp_path / "killed" / "run" / "responses" / "main.jsonl"
    text = answers.read_text()
    place = text.index('"acc":0.', len(text) // 2) + len('"acc":0.')
    answers.write_text(text[:place] + str((int(text[place]) + 1) % 10) + text[place + 1 :])
    assert compared(tmp_path / "killed" / "run", study.undisturbed("cheap", "processes", tmp_path))["wrong"] == 1


def every_one_killed(kind: str, plan: list[str], folder: Path) -> None:
    """Searches are tormented, one after the other, until as many were killed as planned: one may end before that."""
    left = list(plan)
    for number in range(len(plan)):
        found = tormented(kind, left, folder, f"killed-{number}")
        assert found["wrong"] == 0
        assert isinstance(found["kills"], dict)
        left = left[sum(found["kills"].values()) :]
        if not left:
            return
    pytest.fail(f"still to be killed: {left}")


@pytest.mark.faults
def test_many_kills(tmp_path: Path) -> None:
    every_one_killed("cheap", ["driver", "worker"] * 6, tmp_path)


@pytest.mark.faults
def test_kills_of_the_embedded_example(tmp_path: Path) -> None:
    every_one_killed("example", ["driver", "worker", "driver", "worker", "driver", "driver"], tmp_path)
