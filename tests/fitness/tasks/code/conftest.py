"""Twenty problems of ours under the names of the public data sets, and as files of the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pytest

from tests.fitness.conftest import write_jsonl
from tests.fitness.tasks.code.problems import humaneval, lay_out, mbpp


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, in which lm-eval's own tasks find our problems; tables are kept apart from the user's."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    lay_out(tmp_path)
    write_jsonl(tmp_path / "completed.jsonl", humaneval())
    write_jsonl(tmp_path / "written.jsonl", mbpp())
    return tmp_path


@pytest.fixture
def completed() -> dict[str, Any]:
    """Problems whose answers continue the question."""
    return {
        "task": "completed",
        "data": "completed.jsonl",
        "question": "{{prompt}}",
        "answer": "{{canonical_solution}}",
        "program": "{{prompt}}{{completion}}",
        "tests": "{{test}}\ncheck({{entry_point}})",
        "stop": ["\ndef", "\nclass"],
        "max_gen_toks": 24,
    }


@pytest.fixture
def written() -> dict[str, Any]:
    """Problems whose answers are whole programs."""
    return {"task": "written", "data": "written.jsonl", "question": "{{text}}", "answer": "{{code}}",
            "tests": "{{test_list}}"}  # fmt: skip
