"""The script that runs the real code benchmarks, over problems of ours in their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evomerge.fitness.tasks.code import sandbox
from experiments.generation.real_code import measured
from tests.fitness.conftest import write_jsonl
from tests.fitness.tasks.code.problems import humaneval, mbpp

pytestmark = pytest.mark.skipif(sandbox.refusal() is not None, reason=str(sandbox.refusal()))


def test_solutions_pass_spoilt_ones_fail_and_tests_that_need_more_code_are_named(tmp_path: Path) -> None:
    written: list[dict[str, Any]] = [row | {"task_id": 11 + place} for place, row in enumerate(mbpp()[:4])]
    call = written[2]["test_list"][0].replace("[1, 2]", "first")
    written[2] |= {"test_setup_code": "first = [1, 2]", "test_list": [call] * 3}
    written.append(written[0] | {"task_id": 700})  # of another split
    write_jsonl(tmp_path / "mbpp.jsonl", written)
    write_jsonl(tmp_path / "HumanEval.jsonl", humaneval()[:3])
    here = Path.cwd()
    found = measured(tmp_path, ["humaneval", "mbpp", "mbpp_instruct", "humaneval_declared", "mbpp_declared"])
    assert Path.cwd() == here
    counts = {one["task"]: [*one.values()][1:] for one in found}
    assert counts == {
        "humaneval": [3, 3, 3, [], []],
        "mbpp": [4, 3, 4, ["13"], []],  # lm-eval leaves out what the third one's tests need
        "mbpp_instruct": [4, 3, 4, ["13"], []],
        "humaneval_declared": [3, 3, 3, [], []],
        "mbpp_declared": [4, 4, 4, [], []],
    }
