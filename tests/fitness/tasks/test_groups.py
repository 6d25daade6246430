"""Groups are scored as lm-eval scores them, once all their tasks are."""

from __future__ import annotations

from pathlib import Path

import pytest

from evomerge.fitness import FitnessSettings
from evomerge.fitness.tasks.build import open_tasks
from evomerge.fitness.tasks.groups import Groups


@pytest.fixture(scope="module")
def pair(tasks: Path) -> Groups:
    return open_tasks(FitnessSettings(("pair",), (str(tasks),)), None).groups


def test_members(pair: Groups) -> None:
    assert pair.names == ("pair",)
    assert pair.leaves("pair") == ["choice", "letters"]
    assert pair.members == {"choice", "letters"}


def test_means_are_weighted_as_the_group_says(pair: Groups) -> None:
    totals = {"choice": {"acc": 1.0, "acc_norm": 1.0}, "letters": {"acc": 0.0, "acc_norm": 0.5}}
    found = pair.aggregate(totals, {"choice": 30, "letters": 10})
    assert found == {"pair.acc": 0.75, "pair.acc_norm": 0.75}
    assert pair.aggregate({"choice": totals["choice"]}, {"choice": 30}) == {}


def test_a_group_is_better_where_all_its_tasks_are(pair: Groups) -> None:
    own = {"choice.acc": True, "letters.acc": True, "choice.acc_norm": True, "letters.acc_norm": False}
    assert dict(pair.directions(own)) == {"pair.acc": True, "pair.acc_norm": False}
