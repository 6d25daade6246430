"""A folder of small data files and one task file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fitness.conftest import choice_rows, write_jsonl
from tests.fitness.tasks.declaring import simple


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [{"question": f"Question {n}?", "options": ["7", "3", str(n + 20)], "gold": "3"} for n in range(30)]
    write_jsonl(tmp_path / "quiz.jsonl", rows)
    write_jsonl(tmp_path / "rows.jsonl", choice_rows(30))
    simple(tmp_path, "simple")
    return tmp_path
