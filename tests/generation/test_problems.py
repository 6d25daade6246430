"""The word problems and tasks of the generation benchmark: committed as generated, right, disjoint from training."""

from __future__ import annotations

import operator
import re
from itertools import islice

import pytest

from experiments.generation import data, problems

OPERATIONS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
CALCULATION = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)")


@pytest.mark.parametrize("name", sorted(path.stem for path in data.TASKS_FOLDER.glob("*.jsonl")))
def test_regeneration_gives_the_committed_bytes(name: str) -> None:
    assert (data.TASKS_FOLDER / f"{name}.jsonl").read_text(encoding="utf-8") == data.jsonl(data.files()[name])


def test_every_calculation_is_right_and_the_last_one_is_the_answer() -> None:
    asked = [problem for skill in problems.KINDS for problem in problems.evaluation_problems(skill)]
    for problem in (*problems.example_problems(), *asked):
        found = [(int(a), sign, int(b), int(c)) for a, sign, b, c in CALCULATION.findall(problem.answer)]
        assert len(found) >= 3
        assert all(OPERATIONS[sign](a, b) == c for a, sign, b, c in found), problem
        assert problem.answer.endswith(f"\n#### {found[-1][3]}")


@pytest.mark.parametrize("skill", problems.KINDS)
def test_training_asks_nothing_that_is_evaluated_or_shown(skill: str) -> None:
    asked = [problem for kind in problems.KINDS for problem in problems.evaluation_problems(kind)]
    questions = {f"Question: {problem.question}\nAnswer:" for problem in (*asked, *problems.example_problems())}
    assert len(questions) == 2 * problems.ITEMS_PER_SKILL + problems.EXAMPLES
    examples = list(islice(problems.training_examples(skill), 500))
    assert not questions & {prompt for prompt, _ in examples}
    assert examples == list(islice(problems.training_examples(skill), 500))
