"""Groups are scored as lm-eval scores them, once all their tasks are."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from evomerge.fitness.tasks.groups import Groups
from tests.fitness.tasks.declaring import opened


@pytest.fixture(scope="module")
def pair(tasks: Path) -> Groups:
    return opened(tasks, "pair").groups


def test_members(pair: Groups) -> None:
    assert pair.names == ("pair",)
    assert pair.leaves("pair") == ["choice", "letters"]
    assert pair.members == {"choice", "letters"}


def test_means_are_weighted_as_the_group_says(pair: Groups) -> None:
    totals = {"choice": {"acc": 1.0, "acc_norm": 1.0}, "letters": {"acc": 0.0, "acc_norm": 0.5}}
    found = pair.aggregate(totals, {"choice": 30, "letters": 10})
    assert found == {"pair.acc": 0.75, "pair.acc_norm": 0.75}
    assert pair.aggregate({"choice": totals["choice"]}, {"choice": 30}) == {}


def test_a_metric_without_a_finite_value_in_one_task_has_none_in_the_group(pair: Groups) -> None:
    totals = {"choice": {"acc": 1.0, "acc_norm": math.nan}, "letters": {"acc": 0.5, "acc_norm": 0.5}}
    found = pair.aggregate(totals, {"choice": 10, "letters": 10})
    assert found["pair.acc"] == 0.75
    assert math.isnan(found["pair.acc_norm"])


def test_a_group_is_better_where_all_its_tasks_are(pair: Groups) -> None:
    own = {"choice": {"acc": True, "acc_norm": True}, "letters": {"acc": True, "acc_norm": False, "f1": True}}
    found = pair.directions(own)
    assert {key: up for key, up in found.items() if key.startswith("pair.")} == {
        "pair.acc": True,
        "pair.acc_norm": False,
    }
    assert [key for key in found if not key.startswith("pair.")] == [
        "choice.acc", "choice.acc_norm", "letters.acc", "letters.acc_norm", "letters.f1",
    ]  # fmt: skip
