"""pass@k: the chance that one of k answers to a problem passes its tests, estimated from n answers without bias.

Chen et al., Evaluating Large Language Models Trained on Code, 2021 (https://arxiv.org/abs/2107.03374), equation 1.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import ceil, comb
from typing import Any

from evomerge.errors import InputError
from evomerge.fitness.tasks.code.limits import Limits, Verdict
from evomerge.fitness.tasks.code.permission import demand
from evomerge.fitness.tasks.code.sandbox import SandboxError, run

_TRIES = 3
_KEPT = 4096
# Verdicts that follow from the program alone, and not from the machine as well.
_LASTING = ("passed", "failed", "error")

_known: dict[tuple[str, Limits], Verdict] = {}
_lock = threading.Lock()
_observers: list[list[Verdict]] = []


@contextlib.contextmanager
def observed() -> Iterator[list[Verdict]]:
    """Collects the verdicts that are given in this block, with their reasons, which metrics do not tell."""
    verdicts: list[Verdict] = []
    _observers.append(verdicts)
    try:
        yield verdicts
    finally:
        _observers.remove(verdicts)


def estimate(total: int, passed: int, k: int) -> float:
    """pass@k of one problem.

    Args:
        total: Number of its answers, at least ``k``.
        passed: Number of those that pass.
        k: How many may be tried.
    """
    return 1.0 - comb(total - passed, k) / comb(total, k)


def judge(program: str, limits: Limits | None = None) -> Verdict:
    """The verdict on a program, which is run once: candidates of a search often answer alike.

    Args:
        program: An answer and its tests.
        limits: What it may use.

    Raises:
        InputError: If answers may not be run.
        SandboxError: If the system does not allow a sandbox, asked several times.
    """
    demand()
    key = program, limits or Limits()
    if (found := _known.get(key)) is None:
        found = _tried(*key)
        if found.cause in _LASTING:
            with _lock:
                _known[key] = found
                if len(_known) > _KEPT:
                    del _known[next(iter(_known))]
    for verdicts in _observers:
        verdicts.append(found)
    return found


def _tried(program: str, limits: Limits) -> Verdict:
    for _ in range(_TRIES - 1):
        try:
            return run(program, limits)
        except SandboxError:
            continue  # a machine that is short of processes for a moment
    return run(program, limits)


class CodeEval:
    """The metric ``code_eval`` of the ``evaluate`` library, with its programs in a sandbox and nothing from the hub."""

    name = "code_eval"

    def compute(
        self,
        *,
        predictions: Sequence[Sequence[str]],
        references: Sequence[str],
        k: Iterable[int] = (1, 10, 100),
        timeout: float | None = None,
        **_: Any,
    ) -> tuple[dict[str, float], dict[int, list[tuple[int, dict[str, Any]]]]]:
        """Runs the answers to some problems.

        Args:
            predictions: For each problem, answers as program texts.
            references: For each problem, its tests as a program text, run after an answer.
            k: Values of k; one that is larger than some problem's number of answers is left out.
            timeout: Seconds of computing time of each answer.

        Returns:
            Means over problems by name, such as ``pass@1``; and of each problem each answer's number and verdict.

        Raises:
            InputError: If answers may not be run, or are not of that form.
        """
        if isinstance(predictions, str) or any(isinstance(answers, str) for answers in predictions):
            raise InputError("code_eval: expected a list of answers for each problem, came a text")
        limits = Limits() if timeout is None else Limits(cpu_seconds=max(1, ceil(timeout)))
        verdicts = [
            [judge(f"{answer}\n{tests}", limits) for answer in answers]
            for answers, tests in zip(predictions, references, strict=True)
        ]
        counts = [(len(found), sum(verdict.passed for verdict in found)) for found in verdicts]
        scores = {
            f"pass@{one}": sum(estimate(*count, one) for count in counts) / len(counts)
            for one in k
            if counts and all(total >= one for total, _ in counts)
        }
        return scores, {place: _told(place, found) for place, found in enumerate(verdicts)}


def _told(problem: int, verdicts: Sequence[Verdict]) -> list[tuple[int, dict[str, Any]]]:
    return [
        (
            place,
            {
                "task_id": problem,
                "completion_id": place,
                "passed": verdict.passed,
                "result": " ".join(filter(None, (verdict.cause, verdict.detail))),
            },
        )
        for place, verdict in enumerate(verdicts)
    ]


CODE_EVAL = CodeEval()


def pass_at_k(
    references: Sequence[str], predictions: Sequence[Any], k: int | Sequence[int] = (1,)
) -> Mapping[str, float]:
    """The metric as a task names it: ``metric: pass_at_k``.

    Args:
        references: Tests of each problem.
        predictions: Of each problem, an answer or a list of answers.
        k: A value of k or several.

    Returns:
        Means over problems by name.
    """
    answers = [[one] if isinstance(one, str) else list(one) for one in predictions]
    return CODE_EVAL.compute(predictions=answers, references=references, k=[k] if isinstance(k, int) else k)[0]


def pass_at_1(references: Sequence[str] | str, predictions: Sequence[Any]) -> float:
    """The metric as a task names it, with one value: ``metric: pass_at_1``; arguments as in :func:`pass_at_k`."""
    return pass_at_k([references] if isinstance(references, str) else references, predictions)["pass@1"]


METRICS = {"pass_at_k": pass_at_k, "pass_at_1": pass_at_1}
