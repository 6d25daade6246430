"""A folder as a user has it: two experts, their base, and a task of their own."""

from pathlib import Path

import pytest

TASK = """\
task: rhymes
dataset_path: json
output_type: multiple_choice
"""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with models A, B, C and my_tasks/rhymes.yaml; the models' files are of no interest here."""
    for name in ("A", "B", "C"):
        (tmp_path / name).mkdir()
    (tmp_path / "my_tasks").mkdir()
    (tmp_path / "my_tasks" / "rhymes.yaml").write_text(TASK)
    monkeypatch.chdir(tmp_path)
    return tmp_path
