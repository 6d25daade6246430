"""Finding the declaration of a task: by name, file, pattern or group, one's own before lm-eval's."""

from __future__ import annotations

from pathlib import Path

from evomerge.fitness import FitnessSettings, inspect_tasks
from evomerge.fitness.tasks.task_index import DeclarationIndex
from tests.fitness.tasks.declaring import SIMPLE, declare, problems

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


def test_a_task_is_named_by_its_file_or_a_pattern(folder: Path) -> None:
    by_file = inspect_tasks(FitnessSettings((str(folder / "simple.yaml"),)))
    by_pattern = inspect_tasks(FitnessSettings(("simp*",), (str(folder),)))
    assert [listing.task for listing in by_file.tasks] == [listing.task for listing in by_pattern.tasks] == ["simple"]


def test_task_path_may_be_a_file(folder: Path) -> None:
    found = inspect_tasks(FitnessSettings(("simple",), (str(folder / "simple.yaml"),)))
    assert found.tasks[0].items["search"] > 5


def test_the_same_name_twice(folder: Path) -> None:
    declare(folder, "copy", SIMPLE.format(name="simple", data="rows.jsonl"))
    assert "'simple' is declared more than once" in problems(folder, "simple")
    (folder / "copy.yaml").unlink()
    declare(folder, "group", "group: both\ntask: [simple]\n")
    assert "'simple' is asked for twice" in problems(folder, "simple", "both")


def test_builtin_names_are_found_with_all_their_members() -> None:
    index = DeclarationIndex([])
    wanted, wrong = index.find(["ai2_arc", "mmlu_stem", "gsm8k"])
    assert (wanted, wrong) == (["ai2_arc", "mmlu_stem", "gsm8k"], [])
    names = {entry.name for entry in index.closure(wanted)}
    # arc_challenge carries its tag only in the file that it includes.
    assert {"arc_easy", "arc_challenge", "mmlu_abstract_algebra", "gsm8k"} <= names
    assert len(names) > 20
