"""Finding and loading tasks: the user's own files, declarations over JSONL, clear words for what is wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evomerge.errors import InputError
from evomerge.fitness import FitnessSettings, TaskSuite, inspect_tasks
from evomerge.fitness.tasks.task_index import DeclarationIndex
from tests.fitness.conftest import choice_rows, scored, write_jsonl

INLINE = {
    "task": "quiz",
    "data": "quiz.jsonl",
    "question": "{{question}} Answer:",
    "choices": "{{options}}",
    "answer": "{{gold}}",
}
SIMPLE = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{stem}}}}"
doc_to_choice: options
doc_to_target: gold
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [{"question": f"Question {n}?", "options": ["7", "3", str(n + 20)], "gold": "3"} for n in range(30)]
    write_jsonl(tmp_path / "quiz.jsonl", rows)
    write_jsonl(tmp_path / "rows.jsonl", choice_rows(30))
    (tmp_path / "simple.yaml").write_text(SIMPLE.format(name="simple", data="rows.jsonl"), encoding="utf-8")
    return tmp_path


def problems(folder: Path, *tasks: Any, **changes: Any) -> str:
    with pytest.raises(InputError) as caught:
        inspect_tasks(FitnessSettings(tasks, (str(folder),), **changes))
    return str(caught.value)


def declare(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")


def test_data_files_lie_beside_their_task_file(folder: Path) -> None:
    assert not Path("rows.jsonl").exists()
    assert inspect_tasks(FitnessSettings(("simple",), (str(folder),))).tasks[0].total == 30


def test_a_task_is_named_by_its_file_or_a_pattern(folder: Path) -> None:
    by_file = inspect_tasks(FitnessSettings((str(folder / "simple.yaml"),)))
    by_pattern = inspect_tasks(FitnessSettings(("simp*",), (str(folder),)))
    assert [listing.task for listing in by_file.tasks] == [listing.task for listing in by_pattern.tasks] == ["simple"]


def test_task_path_may_be_a_file(folder: Path) -> None:
    found = inspect_tasks(FitnessSettings(("simple",), (str(folder / "simple.yaml"),)))
    assert found.tasks[0].items["search"] > 5


def test_jsonl_with_template_fields(folder: Path) -> None:
    found = inspect_tasks(FitnessSettings((INLINE,), (str(folder),)))
    listing = found.tasks[0]
    assert (listing.task, listing.output_type, listing.total) == ("quiz", "multiple_choice", 30)
    assert listing.sample["question"] == "Question 0? Answer:"
    # The right answer is the text "3", which is not the option at place 3.
    assert listing.sample["gold"] == "3"
    assert {"quiz.acc", "quiz.acc_norm", "quiz.gold_logprob"} <= set(found.metrics)


def test_jsonl_with_generated_answers(folder: Path, tokenizer: Any, model: Any) -> None:
    spec = {"task": "free", "data": str(folder / "quiz.jsonl"), "question": "{{question}}", "answer": "{{gold}}"}
    settings = FitnessSettings((spec | {"max_gen_toks": 4, "stop": ["a"]},), max_length=64)
    suite = TaskSuite.build(settings, tokenizer, config=model.config)
    metrics, responses = scored(suite, model)
    assert list(metrics) == ["free.exact_match"]
    assert all("a" not in response.texts[0] for response in responses)


def test_jsonl_with_examples_of_its_own(folder: Path) -> None:
    write_jsonl(folder / "shots.jsonl", [{"question": "Shot?", "options": ["7", "3"], "gold": "7", "extra": 1}])
    found = inspect_tasks(FitnessSettings((INLINE | {"fewshot": "shots.jsonl", "num_fewshot": 1},), (str(folder),)))
    assert found.tasks[0].sample["question"] == "Shot? Answer: 7\n\nQuestion 0? Answer:"
    assert not found.warnings


def test_wrong_names_are_told_all_at_once_with_suggestions(folder: Path) -> None:
    declare(
        folder,
        "odd",
        SIMPLE.format(name="odd", data="rows.jsonl")
        + "metric_list: [{metric: acc_nrom}, {metric: acc, aggregation: men}]\n"
        + "filter_list: [{name: x, filter: [{function: take_frist}]}]\n",
    )
    told = problems(folder, "simpel", "arc_esy", "odd", INLINE | {"choises": 1, "output_type": "multiple"})
    assert "'simpel' is neither in task_path nor a task of lm-eval; did you mean 'simple'?" in told
    assert "'arc_esy' is neither in task_path nor a task of lm-eval; did you mean 'arc_easy'?" in told
    assert "task 'odd': unknown metric 'acc_nrom'; did you mean 'acc_norm'?" in told
    assert "task 'odd': unknown aggregation 'men'; did you mean 'mean'?" in told
    assert "task 'odd': unknown filter 'take_frist'; did you mean 'take_first'?" in told
    assert "task 'quiz': unknown key 'choises'; did you mean 'choices'?" in told
    assert "task 'quiz': unknown output_type 'multiple'" in told


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


def test_missing_and_empty_data(folder: Path) -> None:
    (folder / "empty.jsonl").write_text("", encoding="utf-8")
    write_jsonl(folder / "few.jsonl", choice_rows(1))
    declare(folder, "gone", SIMPLE.format(name="gone", data="gone.jsonl"))
    declare(folder, "bare", SIMPLE.format(name="bare", data="empty.jsonl"))
    told = problems(folder, "gone", "bare", INLINE | {"data": "lost.jsonl"})
    assert "task 'gone': data file 'gone.jsonl' was not found" in told
    assert "task 'bare': data file" in told
    assert "is empty" in told
    assert "task 'quiz': data file 'lost.jsonl' was not found" in problems(folder, INLINE | {"data": "lost.jsonl"})
    assert "is empty; a task needs at least one item" in problems(folder, INLINE | {"data": "empty.jsonl"})
    declare(folder, "few", SIMPLE.format(name="few", data="few.jsonl"))
    assert re.search(
        r"none of its 1 items falls into the \w+ split \(search \d, selection \d, test \d\); ", problems(folder, "few")
    )


def test_a_task_that_filters_all_its_items_away(folder: Path) -> None:
    (folder / "drop.py").write_text("def nothing(dataset):\n    return dataset.select([])\n", encoding="utf-8")
    declare(folder, "none", SIMPLE.format(name="none", data="rows.jsonl") + "process_docs: !function drop.nothing\n")
    assert "task 'none' has no items" in problems(folder, "none")


def test_broken_rows_and_files(folder: Path) -> None:
    (folder / "bad.jsonl").write_text('{"question": "a"}\n{"question": \n', encoding="utf-8")
    assert "bad.jsonl, line 2: expected a JSON object" in problems(folder, INLINE | {"data": "bad.jsonl"})
    (folder / "list.jsonl").write_text("3\n", encoding="utf-8")
    assert "line 1: expected a JSON object, came a number" in problems(folder, INLINE | {"data": "list.jsonl"})
    declare(folder, "broken", SIMPLE.format(name="broken", data="bad.jsonl"))
    told = problems(folder, "broken")
    assert told == f"task 'broken': {folder / 'bad.jsonl'}, line 2: expected a JSON object: Expecting value"
    declare(folder, "torn", "task: [torn\n")
    assert "torn.yaml, line 2: not a readable task file: " in problems(folder, "torn")


def test_splits_that_the_data_does_not_have(folder: Path) -> None:
    bare = SIMPLE.format(name="bare", data="x").replace("{test: x}", "rows.jsonl")
    declare(folder, "bare", bare)
    assert "test_split is 'test', but its data_files give train; write data_files: {test: FILE}" in problems(
        folder, "bare"
    )
    declare(folder, "none", SIMPLE.format(name="none", data="rows.jsonl").replace("test_split: test", ""))
    assert "needs a test_split or a validation_split" in problems(folder, "none")


def test_templates_that_do_not_fit_the_data(folder: Path) -> None:
    declare(folder, "typo", SIMPLE.format(name="typo", data="rows.jsonl").replace("stem", "steem"))
    assert "task 'typo'" in (told := problems(folder, "typo"))
    assert "'steem' is undefined" in told


def test_the_same_name_twice(folder: Path) -> None:
    declare(folder, "copy", SIMPLE.format(name="simple", data="rows.jsonl"))
    assert "'simple' is declared more than once" in problems(folder, "simple")
    (folder / "copy.yaml").unlink()
    declare(folder, "group", "group: both\ntask: [simple]\n")
    assert "'simple' is asked for twice" in problems(folder, "simple", "both")


def test_groups_may_declare_their_members_on_the_spot(folder: Path) -> None:
    member = SIMPLE.format(name="inside", data="rows.jsonl").strip().replace("\n", "\n    ")
    declare(folder, "own", f"group: own\ntask:\n  - {member}\naggregate_metric_list: [{{metric: acc}}]\n")
    found = inspect_tasks(FitnessSettings(("own",), (str(folder),)))
    assert [listing.task for listing in found.tasks] == ["own::inside"]
    assert found.metrics["own.acc"]
    declare(folder, "own", f"group: own\ntask:\n  - {member.replace('rows', 'rosw')}\n")
    assert "task 'inside': data file 'rosw.jsonl' was not found" in problems(folder, "own")


def test_code_from_the_network_and_code_of_models_are_refused(folder: Path) -> None:
    base = SIMPLE.format(name="odd", data="rows.jsonl")
    declare(folder, "odd", base + "metric_list: [{metric: acc, hf_evaluate: true, aggregation: mean}]\n")
    assert "asks for hf_evaluate" in problems(folder, "odd")
    declare(folder, "odd", base + "unsafe_code: true\n")
    assert "runs code that models write" in problems(folder, "odd")


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


def test_well_known_benchmarks_are_pointed_out(folder: Path) -> None:
    # The user's own task over a public test set, here with its data beside it.
    public = SIMPLE.format(name="mine", data="rows.jsonl").replace("dataset_path: json", "dataset_path: ai2_arc")
    (folder / "ai2_arc").mkdir()
    write_jsonl(folder / "ai2_arc" / "rows.jsonl", choice_rows(30))
    public = public.replace("dataset_kwargs: {data_files: {test: rows.jsonl}}", "")
    declare(folder, "mine", public.replace("test_split: test", "test_split: train"))
    found = inspect_tasks(FitnessSettings(("mine",), (str(folder),)))
    assert "'mine' scores on the train split of a well-known benchmark (ai2_arc)" in found.warnings[0]
    # A name of the user's own that begins alike says nothing.
    declare(folder, "drop_words", SIMPLE.format(name="drop_words", data="rows.jsonl"))
    assert not inspect_tasks(FitnessSettings(("drop_words",), (str(folder),))).warnings


def test_builtin_names_are_found_with_all_their_members() -> None:
    index = DeclarationIndex([])
    wanted, wrong = index.find(["ai2_arc", "mmlu_stem", "gsm8k"])
    assert (wanted, wrong) == (["ai2_arc", "mmlu_stem", "gsm8k"], [])
    names = {entry.name for entry in index.closure(wanted)}
    # arc_challenge carries its tag only in the file that it includes.
    assert {"arc_easy", "arc_challenge", "mmlu_abstract_algebra", "gsm8k"} <= names
    assert len(names) > 20


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


def test_data_that_is_not_here_is_one_clear_problem_offline(folder: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", LISTEN, "arc_easy", str(folder)],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    attempts, told = json.loads(run.stdout)
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


def test_values_of_several_types_are_named_by_line_and_field(folder: Path) -> None:
    rows = [{"question": "a", "options": ["x", "y"], "gold": 0}, {"question": "b", "options": ["x", 3], "gold": "y"}]
    write_jsonl(folder / "mixed.jsonl", rows)
    told = problems(folder, INLINE | {"data": "mixed.jsonl"})
    assert "mixed.jsonl, line 2: field 'gold' is a text, but a number on line 1" in told
    assert "mixed.jsonl, line 2: field 'options[]' is a number, but a text on line 1" in told
    assert "Arrow" not in told


def test_templates_that_name_no_field_list_the_fields(folder: Path) -> None:
    told = problems(folder, INLINE | {"question": "{{qestion}} of {% for o in options %}{{o}}{% endfor %}"})
    assert (
        "task 'quiz': question names the field 'qestion', which the data do not have; did you mean 'question'?" in told
    )
    assert "the fields are question, options, gold" in told
    assert "'o'" not in told
    assert "task 'quiz': answer is not a template" in problems(folder, INLINE | {"answer": "{{gold"})


def test_a_task_without_choices_is_said_to_be_generated(folder: Path) -> None:
    spec = {key: value for key, value in INLINE.items() if key != "choices"}
    found = inspect_tasks(FitnessSettings((spec,), (str(folder),)))
    assert found.warnings == ("task 'quiz' has no choices: taken as a generation task",)
    assert not inspect_tasks(FitnessSettings((spec | {"output_type": "generate_until"},), (str(folder),))).warnings
