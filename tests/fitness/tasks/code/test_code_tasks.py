"""lm-eval's own HumanEval and MBPP, and tasks of the user's own, on twenty problems of ours: answers are run."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from evomerge.evaluation import Response
from evomerge.fitness import FitnessSettings, TaskSuite
from evomerge.fitness.inference.requests import Generated
from evomerge.fitness.tasks.benchmark import Benchmark
from evomerge.fitness.tasks.code import permission, sandbox
from evomerge.fitness.tasks.code.solutions import solution_forms
from tests.fitness.conftest import scored, write_jsonl
from tests.fitness.tasks.code.problems import humaneval, mbpp
from tests.fitness.tasks.declaring import declare, inspect, opened, problems, simple

here = pytest.mark.skipif(sandbox.refusal() is not None, reason=str(sandbox.refusal()))
ALL = {"search": 1.0}
REFUSED = "its answers are programs, which judging runs; set fitness.code=sandbox to let them run"
METRICS = {
    "humaneval": "pass@1,create_test",
    "humaneval_instruct": "pass@1,create_test",
    "mbpp": "pass_at_1",
    "mbpp_instruct": "pass_at_1,extract_code",
}
OWN = """
task: own
dataset_path: json
dataset_kwargs: {data_files: {test: written.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "{{text}}"
doc_to_target: "{{test_list | join('\\n')}}"
generation_kwargs: {until: ["[DONE]"], max_gen_toks: 16}
metric_list: [{metric: METRIC}]
"""
CODE_EVAL = """
import evaluate

METRIC = evaluate.load("code_eval")


def solved(references, predictions):
    return METRIC.compute(references=references, predictions=[predictions], k=[1])[0]["pass@1"]
"""


def judged(benchmark: Benchmark, answers: Mapping[str, str]) -> list[Response]:
    with permission.given("sandbox"):
        return benchmark.judge({item: [Generated(text, False)] for item, text in answers.items()})


def judgements(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics without those of an answer's length, which every task has."""
    return {name: value for name, value in metrics.items() if name not in ("tokens", "truncated")}


def values(responses: list[Response]) -> list[float]:
    return [value for response in responses for value in judgements(response.metrics).values()]


@here
@pytest.mark.parametrize(
    ("names", "form"),
    [(("humaneval", "mbpp"), 0), pytest.param(("humaneval_instruct", "mbpp_instruct"), 1, marks=pytest.mark.slow)],
)
def test_tasks_of_lm_eval_judge_by_running(folder: Path, names: tuple[str, ...], form: int) -> None:
    """Each problem's solution passes, and that of the next problem does not; nothing is asked of the hub."""
    library = sys.modules.get("evaluate")
    for name, found in opened(folder, *names, code="sandbox", splits=ALL).benchmarks.items():
        assert judgements(found.metrics) == {METRICS[name]: True}
        assert [one for one in found.warnings if "well-known benchmark" not in one] == []
        texts = solution_forms(found.task)
        # Humaneval's way to ask for a whole block takes what comes before its end.
        forms = {item: texts(one)[0 if name == "humaneval_instruct" else form] for item, one in found.items.items()}
        right = judged(found, forms)
        assert [set(judgements(response.metrics)) for response in right] == [{METRICS[name]}] * 10
        assert values(right) == [1.0] * 10
        others = [*forms.values()]
        assert values(judged(found, dict(zip(forms, others[1:] + others[:1], strict=True)))) == [0.0] * 10
        assert judgements(found.aggregate(right)) == {METRICS[name]: 1.0}
    assert sys.modules.get("evaluate") is library  # which takes seconds to import, and looks up its metrics online


def test_they_are_refused_unless_it_is_asked_for(folder: Path, written: dict[str, Any]) -> None:
    """Before any code of theirs is imported, which would run an answer; whatever way they are asked for."""
    declare(folder, "own", OWN.replace("METRIC", "pass_at_k"))
    (folder / "own_code.py").write_text(CODE_EVAL + "raise SystemExit('imported')\n")
    declare(folder, "undeclared", OWN.replace("own", "undeclared").replace("METRIC", "!function own_code.solved"))
    told = problems(folder, "humaneval", "mbpp_instruct", "own", "undeclared", written)
    for name in ("humaneval", "mbpp_instruct", "own", "undeclared", "written"):
        assert f"task '{name}': {REFUSED}" in told
    assert "imported" not in told


def test_code_that_gets_at_the_metric_another_way_is_refused_as_well(folder: Path) -> None:
    (folder / "inner_code.py").write_text(CODE_EVAL)
    (folder / "outer.py").write_text(
        f"import sys\nsys.path.insert(0, {str(folder)!r})\nfrom inner_code import solved\n"
    )
    declare(folder, "hidden", OWN.replace("own", "hidden").replace("METRIC", "!function outer.solved"))
    assert f"task 'hidden': {REFUSED}" in problems(folder, "hidden")


def test_tasks_that_run_answers_themselves_are_refused(folder: Path) -> None:
    write_jsonl(folder / "rows.jsonl", [{"stem": "s", "options": ["a", "b"], "gold": 0}] * 9)
    simple(folder, "odd", extra="unsafe_code: true\n")
    if sandbox.refusal() is None:
        assert "task 'odd' runs its answers by code of its own, out of reach" in problems(folder, "odd", code="sandbox")
    assert f"task 'odd': {REFUSED}" in problems(folder, "odd")


@here
def test_a_task_file_names_the_metric(folder: Path) -> None:
    declare(folder, "own", OWN.replace("METRIC", "pass_at_k"))
    found = opened(folder, "own", code="sandbox", splits=ALL).benchmarks["own"]
    assert judgements(found.metrics) == {"pass@1": True}
    assert found.warnings == ()
    codes = [row["code"] for row in mbpp()]
    answers = dict(zip(found.items, codes[:5] + ["pass"] * 5, strict=True))
    assert values(judged(found, answers)) == [1.0] * 5 + [0.0] * 5


@here
def test_a_task_brings_code_that_loads_the_metric(folder: Path) -> None:
    (folder / "own_code.py").write_text(CODE_EVAL)
    metric = "!function own_code.solved, aggregation: mean, higher_is_better: true"
    declare(folder, "own", OWN.replace("METRIC", metric))
    found = opened(folder, "own", code="sandbox", splits=ALL).benchmarks["own"]
    assert judgements(found.metrics) == {"solved": True}
    assert values(judged(found, dict(zip(found.items, [row["code"] for row in mbpp()], strict=True)))) == [1.0] * 10


@here
def test_problems_are_declared_over_a_jsonl_file(folder: Path, completed: dict[str, Any], written: Any) -> None:
    found = opened(folder, completed, written, code="sandbox", splits=ALL).benchmarks
    assert {name: judgements(one.metrics) for name, one in found.items()} == {
        "completed": {"pass@1": True},
        "written": {"pass@1": True},
    }
    assert all(one.warnings == () for one in found.values())
    bodies = [row["canonical_solution"] for row in humaneval()]
    answers = dict(zip(found["completed"].items, [*bodies[:9], "    return None\n"], strict=True))
    assert values(judged(found["completed"], answers)) == [1.0] * 9 + [0.0]
    fenced = [f"Here it is:\n\n```python\n{row['code']}\n```\nIt works." for row in mbpp()]
    assert values(judged(found["written"], dict(zip(found["written"].items, fenced, strict=True)))) == [1.0] * 10


@here
def test_a_solution_that_fails_its_own_tests_is_told(folder: Path, written: dict[str, Any]) -> None:
    rows = mbpp()
    rows[3]["code"] = "def reverse_words(text):\n    return text"
    write_jsonl(folder / "written.jsonl", rows)
    told = "\n".join(inspect(folder, written, code="sandbox", splits=ALL).warnings)
    assert "task 'written': the solution of 1 of 10 items does not pass its own tests; the first is item 4" in told
    assert "with failed (AssertionError); no answer can be known to be right" in told


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"choices": ["a", "b"]}, "choices: does not go with tests, which judge the answers (metric pass@1)"),
        ({"metrics": "exact_match"}, "metrics: does not go with tests"),
        ({"output_type": "loglikelihood"}, "output_type: answers to be tested are generated, not scored by loglike"),
        ({"program": "{{prompt}}"}, "program: expected a template with {{completion}}, where the answer goes"),
        ({"tests": 3}, "tests: expected a text with {{fields}}, came 3"),
        ({"answer": None}, "needs the key 'answer'"),
        ({"tests": None, "program": "{{completion}}"}, "program: has no effect without tests"),
    ],
)
def test_declarations_that_do_not_fit(folder: Path, written: Any, changes: dict[str, Any], said: str) -> None:
    spec = {key: value for key, value in (written | changes).items() if value is not None}
    assert f"tasks: task 'written': {said}" in problems(folder, spec)


@here
def test_templates_name_fields_that_are_there(folder: Path, written: dict[str, Any]) -> None:
    told = problems(folder, written | {"tests": "{{test_lst}}"}, code="sandbox")
    assert "task 'written': tests names the field 'test_lst', which the data do not have; did you mean" in told
    told = problems(folder, written | {"program": "{{completion}}{{promt}}"}, code="sandbox")
    assert "'promt'" in told
    assert "'completion'" not in told


@here
def test_a_model_is_scored(folder: Path, completed: dict[str, Any], tokenizer: Any, model: Any) -> None:
    settings = FitnessSettings((completed,), (), code="sandbox", max_length=256)
    suite = TaskSuite.build(settings, tokenizer, config=model.config)
    metrics, responses = scored(suite, model)
    assert metrics["completed.pass@1"] == 0.0
    assert scored(suite, model)[1] == responses
    assert suite.judging == TaskSuite.build(settings, tokenizer, config=model.config).judging


def test_the_setting_is_told_where_it_has_no_effect(folder: Path, tokenizer: Any, model: Any) -> None:
    write_jsonl(folder / "rows.jsonl", [{"stem": f"s{n}", "options": ["a", "b"], "gold": n % 2} for n in range(20)])
    simple(folder, "plain")
    settings = FitnessSettings(("plain",), (str(folder),), code="sandbox", max_length=64)
    told = TaskSuite.build(settings, tokenizer, config=model.config).warnings
    assert "fitness.code=sandbox has no effect: no task's answers are programs" in told
