"""Declarations are refused where lm-eval would stumble over them, or take a text for its letters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evomerge.fitness import FitnessSettings, inspect_tasks
from evomerge.fitness.tasks.checks.validate import name_problems
from tests.fitness.conftest import choice_rows, write_jsonl
from tests.fitness.tasks.declaring import INLINE, SIMPLE, declare, inspect, problems, simple


@pytest.mark.parametrize("name", ["my quiz", "a,b", "a*b", "a+b", "a=b", "'a'", "a\tb", "all", "python", ""])
def test_names_that_no_objective_could_name(name: str) -> None:
    assert len(name_problems(name)) == 1


@pytest.mark.parametrize("name", ["arc_easy", "own::inside", "global-mmlu.v1", "größe", "7", "mmlu_language_(general)"])
def test_names_that_lm_eval_has_are_fine(name: str) -> None:
    assert name_problems(name) == []


def test_members_that_a_group_declares_have_names_too(folder: Path) -> None:
    member = SIMPLE.format(name="my member", data="rows.jsonl").strip().replace("\n", "\n    ")
    declare(folder, "own", f"group: own\ntask:\n  - {member}\n")
    assert "the name 'my member' holds ' '" in problems(folder, "own")


def test_names_are_refused_as_such(folder: Path) -> None:
    said = problems(folder, INLINE | {"task": "my quiz"})
    assert said == "tasks: the name 'my quiz' holds ' '; a task's name is made of letters, digits and _ . : / -"
    declare(folder, "odd", SIMPLE.format(name="a, b", data="rows.jsonl"))
    assert "the name 'a, b' holds ','" in problems(folder, str(folder / "odd.yaml"))
    declare(folder, "odd", SIMPLE.format(name="7", data="rows.jsonl"))
    assert "its name 7 is not a text; put quotes around it" in problems(folder, "7")
    declare(folder, "odd", SIMPLE.format(name="'7'", data="rows.jsonl"))
    assert inspect(folder, "7").tasks[0].task == "7"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"question": None}, "question: expected a text with {{fields}}, came None"),
        ({"question": ["a"]}, "question: expected a text with {{fields}}, came ['a']"),
        ({"choices": [True, False]}, "choices: expected a text with a {{field}}, or a list of texts"),
        ({"answer": True}, "answer: expected a text with {{fields}}, came True"),
        ({"data": ["quiz.jsonl"]}, "data: expected the name of a file, came ['quiz.jsonl']"),
        ({"metrics": 3}, "metrics: expected a name or a list of names, came 3"),
        ({"stop": {"a": 1}}, "stop: expected a text or a list of texts"),
        ({"max_gen_toks": "many"}, "max_gen_toks: expected a whole number of at least 1, came 'many'"),
        ({"num_fewshot": -1}, "num_fewshot: expected a whole number, came -1"),
        ({"task": 7}, "task: expected a text (put quotes around it), came 7"),
    ],
)
def test_keys_of_a_declaration_have_types(folder: Path, changes: dict[str, Any], said: str) -> None:
    assert said in problems(folder, INLINE | changes)


def test_one_text_is_a_list_of_one(folder: Path, tokenizer: Any) -> None:
    from evomerge.fitness.tasks import jsonl_task

    spec = {"task": "t", "data": "quiz.jsonl", "question": "{{question}}", "answer": "{{gold}}"}
    config = jsonl_task.config(spec | {"stop": "END", "metrics": "exact_match"}, [folder])
    assert config["generation_kwargs"]["until"] == ["END"]
    assert config["metric_list"] == [{"metric": "exact_match"}]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("metric_list: [acc]", "metric_list: expected a list of {metric: NAME}, came ['acc']"),
        ("metric_list: acc", "metric_list: expected a list of {metric: NAME}, came 'acc'"),
        ("filter_list: [take_first]", "filter_list: expected a list of {name: NAME, filter: "),
        ("filter_list: [{name: x, filter: take_first}]", "filter_list: each entry needs a name and a list of steps"),
        ("generation_kwargs: greedy", "generation_kwargs: expected a mapping, came 'greedy'"),
        ("num_fewshot: many", "num_fewshot: expected a whole number, came 'many'"),
        ("num_fewshot: -1", "num_fewshot: expected 0 or more, came -1"),
        ("repeats: 0", "repeats: expected 1 or more, came 0"),
        ("fewshot_split: 3", "fewshot_split: expected a text, came 3"),
        ("description: [a]", "description: expected a text, came ['a']"),
        ("doc_to_target: true", "doc_to_target: expected a text with {{fields}}, a place, a list or a function"),
    ],
)
def test_shapes_that_lm_eval_walks_through(folder: Path, line: str, said: str) -> None:
    simple(folder, "t", extra=line + "\n")
    assert f"task 't': {said}" in problems(folder, "t")


def test_a_text_is_no_switch_of_a_group(folder: Path) -> None:
    declare(folder, "g", "group: g\ntask: [simple]\naggregate_metric_list: [{metric: acc, weight_by_size: 'no'}]\n")
    said = problems(folder, "g")
    assert said == "task 'g': aggregate_metric_list: weight_by_size: expected true or false, came 'no'"


def test_a_text_is_no_list_of_tasks(folder: Path) -> None:
    given: Any = "quiz"
    with pytest.raises(ValueError, match="tasks: expected a list, came the text 'quiz'"):
        inspect_tasks(FitnessSettings(given))


def test_broken_task_files_are_told_with_their_line(folder: Path) -> None:
    declare(folder, "torn", "task: torn\ntest_split: test\n  metric_list: [\n")
    assert f"{folder / 'torn.yaml'}, line 3: not a readable task file: " in problems(folder, "torn")
    (folder / "torn.yaml").write_bytes("task: torn # f\xfcr\n".encode("latin-1"))
    assert f"{folder / 'torn.yaml'}, line 1: byte 0xfc is not UTF-8" in problems(folder, "torn")


def test_wrong_names_are_told_all_at_once_with_suggestions(folder: Path) -> None:
    metrics = "metric_list: [{metric: acc_nrom}, {metric: acc, aggregation: men}]\n"
    simple(folder, "odd", extra=metrics + "filter_list: [{name: x, filter: [{function: take_frist}]}]\n")
    told = problems(folder, "simpel", "arc_esy", "odd", INLINE | {"choises": 1, "output_type": "multiple"})
    assert "'simpel' is neither in task_path nor a task of lm-eval; did you mean 'simple'?" in told
    assert "'arc_esy' is neither in task_path nor a task of lm-eval; did you mean 'arc_easy'?" in told
    assert "task 'odd': unknown metric 'acc_nrom'; did you mean 'acc_norm'?" in told
    assert "task 'odd': unknown aggregation 'men'; did you mean 'mean'?" in told
    assert "task 'odd': unknown filter 'take_frist'; did you mean 'take_first'?" in told
    assert "task 'quiz': unknown key 'choises'; did you mean 'choices'?" in told
    assert "task 'quiz': unknown output_type 'multiple'" in told


def test_splits_that_the_data_does_not_have(folder: Path) -> None:
    bare = SIMPLE.format(name="bare", data="x").replace("{test: x}", "rows.jsonl")
    declare(folder, "bare", bare)
    assert "test_split is 'test', but its data_files give train; write data_files: {test: FILE}" in problems(
        folder, "bare"
    )
    declare(folder, "none", SIMPLE.format(name="none", data="rows.jsonl").replace("test_split: test", ""))
    assert "needs a test_split or a validation_split" in problems(folder, "none")


def test_code_from_the_network_and_code_of_models_are_refused(folder: Path) -> None:
    simple(folder, "odd", extra="metric_list: [{metric: acc, hf_evaluate: true, aggregation: mean}]\n")
    assert "asks for hf_evaluate" in problems(folder, "odd")
    simple(folder, "odd", extra="unsafe_code: true\n")
    assert "its answers are programs, which judging runs" in problems(folder, "odd")


def test_a_direction_is_true_or_false(folder: Path) -> None:
    simple(folder, "odd", extra="metric_list: [{metric: acc, aggregation: mean, higher_is_better: 'false'}]\n")
    said = "task 'odd': metric 'acc': higher_is_better: expected true or false, came 'false'"
    assert problems(folder, "odd") == said


@pytest.mark.parametrize("pattern", ["parts/*/rows.jsonl", "**/rows.jsonl", "parts/[ab]/*.jsonl"])
def test_patterns_of_data_files(folder: Path, pattern: str) -> None:
    for part in ("a", "b"):
        (folder / "data" / "parts" / part).mkdir(parents=True)
        write_jsonl(folder / "data" / "parts" / part / "rows.jsonl", choice_rows(20, seed=ord(part)))
    declare(folder / "data", "many", SIMPLE.format(name="many", data=f'"{pattern}"'))
    assert inspect(folder, "many").tasks[0].total == 40
    simple(folder, "none", '"lost/*/rows.jsonl"')
    assert "data file 'lost/*/rows.jsonl' was not found in" in problems(folder, "none")


def test_keys_that_lm_eval_does_not_know(folder: Path) -> None:
    simple(folder, "odd", extra="metrics: [acc]\ndoc_to_txt: x\n")
    assert problems(folder, "odd").splitlines() == [
        "task 'odd': unknown key 'metrics'; did you mean 'metric_list'?",
        "task 'odd': unknown key 'doc_to_txt'; did you mean 'doc_to_text'?",
    ]


def test_patterns_of_filters(folder: Path) -> None:
    simple(folder, "odd", extra="filter_list: [{name: x, filter: [{function: regex, regex_pattern: '('}]}]\n")
    assert problems(folder, "odd").startswith("task 'odd': regex_pattern '(' is not a regular expression: missing )")


def test_a_metric_that_its_kind_of_task_does_not_give(folder: Path) -> None:
    simple(folder, "odd", extra="metric_list: [{metric: acc}, {metric: word_perplexity}]\n")
    (warning,) = inspect(folder, "odd").warnings
    assert warning == "task 'odd' declares the metric word_perplexity, which multiple_choice does not give"
