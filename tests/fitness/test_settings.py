"""Settings are checked all at once, before a task is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from evomerge.errors import InputError
from evomerge.fitness import FitnessSettings, inspect_tasks

LISTEN = """
import json, sys
attempts = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        attempts.append([event, str(arguments[-1] if event == "socket.connect" else arguments[0])])
sys.addaudithook(watch)
from evomerge.errors import InputError
from evomerge.fitness import FitnessSettings, inspect_tasks
told = ""
try:
    inspect_tasks(FitnessSettings((sys.argv[1],), (sys.argv[2],)))
except InputError as error:
    told = str(error)
print(json.dumps([attempts, told]))
"""


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
