"""Finding and loading tasks: the user's own files, declarations over JSONL, clear words for what is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from evomerge.errors import InputError
from evomerge.fitness import FitnessSettings, TaskSuite
from tests.apart import Apart
from tests.fitness.conftest import choice_rows, write_jsonl
from tests.fitness.tasks.declaring import INLINE, SIMPLE, declare, inspect, problems, simple


def test_data_files_lie_beside_their_task_file(folder: Path) -> None:
    assert not Path("rows.jsonl").exists()
    assert inspect(folder, "simple").tasks[0].total == 30


def test_missing_and_empty_data(folder: Path) -> None:
    (folder / "empty.jsonl").write_text("", encoding="utf-8")
    write_jsonl(folder / "few.jsonl", choice_rows(1))
    simple(folder, "gone", "gone.jsonl")
    simple(folder, "bare", "empty.jsonl")
    told = problems(folder, "gone", "bare", INLINE | {"data": "lost.jsonl"})
    assert "task 'gone': data file 'gone.jsonl' was not found" in told
    assert "task 'bare': data file" in told
    assert "is empty" in told
    assert "task 'quiz': data file 'lost.jsonl' was not found" in problems(folder, INLINE | {"data": "lost.jsonl"})
    assert "is empty; a task needs at least one item" in problems(folder, INLINE | {"data": "empty.jsonl"})
    simple(folder, "few", "few.jsonl")
    assert re.search(
        r"none of its 1 items falls into the \w+ split \(search \d, selection \d, test \d\); ", problems(folder, "few")
    )


def test_a_task_that_filters_all_its_items_away(folder: Path) -> None:
    (folder / "drop.py").write_text("def nothing(dataset):\n    return dataset.select([])\n", encoding="utf-8")
    simple(folder, "none", extra="process_docs: !function drop.nothing\n")
    assert "task 'none' has no items" in problems(folder, "none")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("process_docs: !function leave.docs", "SystemExit: 3"),
        ("process_results: !function leave.judge", "answers to 30 of 30 items cannot be judged"),
        ("process_docs: !function gone.docs", "SystemExit: enough"),
    ],
)
def test_code_that_ends_the_program_is_a_problem_of_its_task(folder: Path, line: str, said: str) -> None:
    code = "import sys\ndef docs(rows):\n    sys.exit(3)\ndef judge(doc, results):\n    sys.exit(4)\n"
    (folder / "leave.py").write_text(code, encoding="utf-8")
    (folder / "gone.py").write_text("raise SystemExit('enough')\n", encoding="utf-8")
    declare(folder, "simple", SIMPLE.format(name="simple", data="rows.jsonl") + f"{line}\n")
    found = problems(folder, "simple")
    assert "task 'simple'" in found
    assert said in found


def test_broken_rows_and_files(folder: Path) -> None:
    (folder / "bad.jsonl").write_text('{"question": "a"}\n{"question": \n', encoding="utf-8")
    assert "bad.jsonl, line 2: expected a JSON object" in problems(folder, INLINE | {"data": "bad.jsonl"})
    (folder / "list.jsonl").write_text("3\n", encoding="utf-8")
    assert "line 1: expected a JSON object, came a number" in problems(folder, INLINE | {"data": "list.jsonl"})
    simple(folder, "broken", "bad.jsonl")
    told = problems(folder, "broken")
    assert told == f"task 'broken': {folder / 'bad.jsonl'}, line 2: expected a JSON object: Expecting value"
    declare(folder, "torn", "task: [torn\n")
    assert "torn.yaml, line 2: not a readable task file: " in problems(folder, "torn")


def test_templates_that_do_not_fit_the_data(folder: Path) -> None:
    declare(folder, "typo", SIMPLE.format(name="typo", data="rows.jsonl").replace("stem", "steem"))
    assert "task 'typo'" in (told := problems(folder, "typo"))
    assert "'steem' is undefined" in told


def test_groups_may_declare_their_members_on_the_spot(folder: Path) -> None:
    member = SIMPLE.format(name="inside", data="rows.jsonl").strip().replace("\n", "\n    ")
    declare(folder, "own", f"group: own\ntask:\n  - {member}\naggregate_metric_list: [{{metric: acc}}]\n")
    found = inspect(folder, "own")
    assert [listing.task for listing in found.tasks] == ["own::inside"]
    assert found.metrics["own.acc"]
    declare(folder, "own", f"group: own\ntask:\n  - {member.replace('rows', 'rosw')}\n")
    assert "task 'inside': data file 'rosw.jsonl' was not found" in problems(folder, "own")
    write_jsonl(folder / "nulls.jsonl", [row | {"stem": None} for row in choice_rows(30)])
    declare(folder, "own", f"group: own\ntask:\n  - {member.replace('rows', 'nulls')}\n")
    assert "task 'own::inside': the question of 30 of 30 items holds null" in problems(folder, "own")


def test_sampling_and_oversized_requests_are_refused(tasks: Path, tokenizer: Any, model: Any) -> None:
    def told(name: str, **changes: Any) -> str:
        with pytest.raises(InputError) as caught:
            TaskSuite.build(FitnessSettings((name,), (str(tasks),), **changes), tokenizer, config=model.config)
        return str(caught.value)

    assert "only greedy generation" in told("echo", gen_kwargs={"do_sample": True, "temperature": 0.7})
    assert "leaves no room for a prompt" in told("echo", max_length=12)
    assert "does not fit into the model's 4" in (crowd := told("choice", max_length=4))
    assert len(crowd.splitlines()) < 30
    tokenizer_without = type(tokenizer).from_pretrained(tokenizer.name_or_path)
    tokenizer_without.chat_template = None
    with pytest.raises(InputError, match="no chat template"):
        TaskSuite.build(FitnessSettings(("echo",), (str(tasks),), apply_chat_template=True), tokenizer_without)


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


def test_data_that_is_not_here_is_one_clear_problem_offline(bare: Apart, folder: Path) -> None:
    process = bare.start(LISTEN, "arc_easy", str(folder), HF_HUB_OFFLINE="1")
    attempts, told = json.loads(process.output())
    assert attempts == []
    assert told.startswith("task 'arc_easy': its data could not be loaded")
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize(("gold", "shown"), [(7, "7"), (-1, "-1"), ("nine", "'nine'")])
def test_right_answers_that_are_no_option_are_refused(folder: Path, gold: Any, shown: str) -> None:
    rows = [{"question": f"Which {n}?", "options": ["a", "b"], "gold": gold} for n in range(30)]
    for row in rows[:21]:
        row["gold"] = 1 if isinstance(gold, int) else "b"
    write_jsonl(folder / "wrong.jsonl", rows)
    told = problems(folder, INLINE | {"data": "wrong.jsonl"})
    assert "task 'quiz': the right answer of 9 of 30 items is none of their options" in told
    assert f"'Which 21? Answer:' with 2 options and the answer {shown}; " in told
    assert "counted from 0" in told
