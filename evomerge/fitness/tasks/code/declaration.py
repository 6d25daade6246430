"""Code problems declared over the user's own JSONL file: a task with a template for its tests.

``{task: mine, data: problems.jsonl, question: "{{prompt}}", answer: "{{solution}}", tests: "{{tests}}"}`` runs each
answer followed by its tests. Where an answer only continues its question, ``program: "{{prompt}}{{completion}}"`` says
how a program is made of it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lm_eval.utils import apply_template

from evomerge.fitness.tasks.code.pass_at_k import pass_at_k

KEYS = ("tests", "program")
COMPLETION = "completion"
METRIC = "pass@1"
_FENCE = re.compile(r"^[ \t]*```[ \t]*([\w+-]*)[ \t]*$", re.MULTILINE)
_ONE_FIELD = re.compile(r"\s*\{\{\s*(\w+)\s*\}\}\s*")


def problems(spec: Mapping[str, Any]) -> Iterator[str]:
    """Problems of the keys of a declaration that make it a code problem."""
    if "tests" not in spec:
        if "program" in spec:
            yield "program: has no effect without tests"
        return
    for key in ("choices", "metrics", "metric_list"):
        if key in spec:
            yield f"{key}: does not go with tests, which judge the answers (metric {METRIC}); leave it out"
    if spec.get("output_type") not in (None, "generate_until"):
        yield f"output_type: answers to be tested are generated, not scored by {spec['output_type']}; leave it out"
    program = spec.get("program")
    if isinstance(program, str) and COMPLETION not in program:
        yield f"program: expected a template with {{{{{COMPLETION}}}}}, where the answer goes, came {program!r}"


def fields(spec: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Fields of the lm-eval task that a declaration with ``tests`` stands for, beside those of any other.

    Args:
        spec: The declaration.
        rows: Its documents.
    """
    tests = spec["tests"]
    if (match := _ONE_FIELD.fullmatch(tests)) and isinstance(rows[0].get(match.group(1)), list):
        tests = f"{{{{ {match.group(1)} | join('\n') }}}}"
    judged = functools.partial(judge, tests=tests, program=spec.get("program", f"{{{{{COMPLETION}}}}}"))
    metric = {"metric": METRIC, "aggregation": "mean", "higher_is_better": True}
    return {"process_results": judged, "metric_list": [metric], "unsafe_code": True}


def judge(doc: Mapping[str, Any], results: Sequence[str], *, tests: str, program: str) -> dict[str, float]:
    """Runs an answer and its tests.

    Args:
        doc: The problem.
        results: Its one answer.
        tests: Template of a program that runs after the answer and fails if that is wrong.
        program: Template of the answer's program, with ``completion``.
    """
    text = apply_template(program, {**doc, COMPLETION: code_in(results[0])})
    return dict(pass_at_k([apply_template(tests, dict(doc))], [text]))


def code_in(text: str) -> str:
    """The program in an answer: the first block between fences of Markdown, else all of it.

    A fence without a language that has no partner ends a block which the question has opened.
    """
    fences = list(_FENCE.finditer(text))
    if not fences:
        return text
    first = fences[0]
    if not first.group(1) and len(fences) % 2:
        return text[: first.start()]
    end = fences[1].start() if len(fences) > 1 else len(text)
    return text[first.end() + 1 : end]
