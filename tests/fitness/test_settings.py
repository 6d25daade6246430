"""Settings are checked all at once, before a task is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evomerge.errors import InputError
from evomerge.fitness import FitnessSettings, inspect_tasks


def test_settings_are_checked_all_at_once(tmp_path: Path) -> None:
    settings = FitnessSettings(
        (),
        (str(tmp_path / "gone"),),
        num_fewshot=-1,
        items_per_task=0,
        splits={"serch": 1.0},
        fewshot_as_multiturn=True,
    )
    with pytest.raises(InputError) as caught:
        inspect_tasks(settings)
    told = caught.value.problems
    for start in ("tasks:", "task_path:", "num_fewshot:", "items_per_task:", "splits: 'serch'", "splits: expected"):
        assert any(problem.startswith(start) for problem in told), start
    assert any("did you mean 'search'" in problem for problem in told)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"splits": [0.5, 0.5]}, "splits: expected a fraction for each of search, selection, test, came [0.5, 0.5]"),
        (
            {"splits": {"search": "half"}},
            "splits: expected fractions from 0 to 1 that sum to 1, came {'search': 'half'}",
        ),
        ({"splits": {"search": True}}, "splits: expected fractions from 0 to 1 that sum to 1, came {'search': True}"),
        ({"gen_kwargs": "greedy"}, "gen_kwargs: expected a mapping, came 'greedy'"),
        ({"task_path": (3,)}, "task_path: expected a folder or a file, came 3"),
        ({"tasks": (3,)}, "tasks: expected a name, a file or a mapping, came 3"),
    ],
)
def test_values_of_other_types_are_told(changes: dict[str, Any], said: str) -> None:
    assert FitnessSettings(**{"tasks": ("quiz",), **changes}).problems() == [said]
