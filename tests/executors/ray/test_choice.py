"""Shares and devices that do not go together are told before any work."""

from __future__ import annotations

from pathlib import Path

import pytest

from evomerge.cli.main import main

pytest.importorskip("ray", reason="Ray is not installed: pip install 'evomerge[ray]'")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("model.device=cuda executor.options.gpus=0", "option gpus is 0, and models run on a GPU"),
        ("model.device=cuda:1", "Ray chooses the GPU of each worker: write model.device=cuda"),
        ("model.device=cpu executor.options.cpus=0", "options cpus and gpus are both 0"),
        ("model.device=cuda executor.options.cpus=0", ""),
        ("executor.options.cpus=0 executor.options.gpus=0", "options cpus and gpus are both 0"),
        ("executor.options.cpus=0", ""),
    ],
)
def test_shares_are_checked_with_the_device(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, told: str
) -> None:
    """A model that is not there ends the check either way."""
    missing = [
        f"models=[{tmp_path}/A,{tmp_path}/B]",
        f"base={tmp_path}/C",
        "tasks=[exam_a]",
        "task_path=[example:tasks]",
    ]
    assert main(["check", *missing, "executor=ray", *words.split()]) == 2
    said = capsys.readouterr().err
    assert "no folder" in said
    assert told in said
    assert told or "executor ray" not in said
