"""Searches whose driver and workers are killed at random moments end as if nothing had happened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments.faults import study
from experiments.faults.grounds import Ground, processes, ray_nodes
from experiments.faults.torment import Torment, compared


def tormented(kind: str, plan: list[str], ground: Ground, folder: Path, name: str = "killed") -> dict[str, object]:
    """What came of a search that was killed so."""
    whole = study.undisturbed(kind, folder)
    killed, chosen = folder / name, study.KINDS[kind]
    torment = Torment(
        lambda: study.start(chosen, ground, killed),
        ground,
        killed / "run",
        killed / study.TRACE,
        np.random.default_rng(len(plan)),
    )
    torment.run(plan, chosen.longest)
    return torment.result(whole)


def test_a_few_kills(tmp_path: Path) -> None:
    """What was scored again is what was at work then; one digit that is wrong is found out."""
    with processes() as ground:
        found = tormented("cheap", ["worker", "driver"], ground, tmp_path)
    assert found["kills"] == {"driver": 1, "worker": 1}
    assert found["wrong"] == 0
    assert isinstance(found["repeats"], int)
    assert 0 <= found["repeats"] <= 2 * 1 + 1, "two workers lose what they are at with their driver"
    answers = tmp_path / "killed" / "run" / "responses" / "main.jsonl"
    text = answers.read_text()
    place = text.index('"acc":0.', len(text) // 2) + len('"acc":0.')
    answers.write_text(text[:place] + str((int(text[place]) + 1) % 10) + text[place + 1 :])
    assert compared(tmp_path / "killed" / "run", study.undisturbed("cheap", tmp_path))["wrong"] == 1


def every_one_killed(kind: str, plan: list[str], ground: Ground, folder: Path) -> None:
    """Searches are tormented, one after the other, until as many were killed as planned: one may end before that."""
    left = list(plan)
    for number in range(len(plan)):
        found = tormented(kind, left, ground, folder, f"killed-{number}")
        assert found["wrong"] == 0
        assert isinstance(found["kills"], dict)
        left = left[sum(found["kills"].values()) :]
        if not left:
            return
    pytest.fail(f"still to be killed: {left}")


@pytest.mark.faults
def test_many_kills(tmp_path: Path) -> None:
    with processes() as ground:
        every_one_killed("cheap", ["driver", "worker"] * 6, ground, tmp_path)


@pytest.mark.faults
def test_nodes_and_drivers_of_a_ray_cluster_are_killed(tmp_path: Path) -> None:
    """Its nodes are replaced, its records are those of the executor ``processes`` to which nothing happened."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'evomerge[ray]'")
    with ray_nodes() as ground:
        every_one_killed("cheap", ["node", "driver", "node", "node", "driver"], ground, tmp_path)


@pytest.mark.faults
def test_kills_of_the_embedded_example(tmp_path: Path) -> None:
    with processes() as ground:
        every_one_killed("example", ["driver", "worker", "driver", "worker", "driver", "driver"], ground, tmp_path)
