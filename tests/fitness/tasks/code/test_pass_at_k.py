"""pass@k against its definition, and the metric in the form in which tasks call it."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from statistics import mean

import pytest

from evomerge.errors import InputError
from evomerge.fitness.tasks.code import permission, sandbox
from evomerge.fitness.tasks.code.pass_at_k import CODE_EVAL, estimate, observed, pass_at_1, pass_at_k

here = pytest.mark.skipif(sandbox.refusal() is not None, reason=str(sandbox.refusal()))
RIGHT, WRONG = "def add(a, b):\n    return a + b", "def add(a, b):\n    return a * b"
TESTS = "assert add(2, 3) == 5"


@pytest.mark.parametrize("total", [1, 2, 5])
def test_the_estimate_is_the_share_of_draws_that_hold_a_right_answer(total: int) -> None:
    for passed in range(total + 1):
        answers = [True] * passed + [False] * (total - passed)
        for k in range(1, total + 1):
            share = mean(Fraction(any(draw)) for draw in combinations(answers, k))
            assert estimate(total, passed, k) == pytest.approx(float(share), abs=1e-12)


@here
def test_it_is_called_as_the_library_is() -> None:
    with permission.given("sandbox"):
        answers = [[RIGHT, WRONG, RIGHT], [WRONG, WRONG, "add ="]]
        scores, told = CODE_EVAL.compute(references=[TESTS, TESTS], predictions=answers, k=[1, 2, 4])
    assert scores == pytest.approx({"pass@1": 1 / 3, "pass@2": 1 / 2})  # of 3 answers no 4 can be drawn
    assert told[0][0] == (0, {"task_id": 0, "completion_id": 0, "passed": True, "result": "passed"})
    assert told[1][2][1]["result"].startswith("error SyntaxError")


@here
def test_it_is_called_by_its_names() -> None:
    with permission.given("sandbox"):
        assert pass_at_k([TESTS], [[RIGHT, WRONG]], k=1) == {"pass@1": 0.5}
        assert pass_at_k([TESTS], [RIGHT]) == {"pass@1": 1.0}
        assert pass_at_1(TESTS, [WRONG]) == 0.0
        with observed() as verdicts:
            pass_at_1([TESTS], [[WRONG]])
    assert [(verdict.cause, verdict.detail) for verdict in verdicts] == [("failed", "AssertionError")]


def test_nothing_is_run_unless_it_is_allowed() -> None:
    for _ in range(2):
        with pytest.raises(InputError, match=r"set fitness\.code=sandbox"):
            pass_at_1(TESTS, [RIGHT])
    with permission.given("sandbox"), permission.given("refuse"), pytest.raises(InputError):
        pass_at_1(TESTS, [RIGHT])


def test_a_text_is_no_list_of_answers() -> None:
    with pytest.raises(InputError, match="expected a list of answers for each problem"):
        CODE_EVAL.compute(references=[TESTS], predictions=[RIGHT])  # type: ignore[list-item]
