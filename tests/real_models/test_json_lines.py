"""Files of JSON lines after a kill."""

from __future__ import annotations

from pathlib import Path

from experiments import json_lines


def test_a_line_that_was_cut_off_is_lost_alone(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    assert json_lines.read(file) == []
    for number in range(2):
        json_lines.append(file, {"number": number, "inside": {"a": 1}})
    text = file.read_text()
    file.write_text(text[:-2])  # both ends of objects look alike: a cut within may end in a brace
    assert [entry["number"] for entry in json_lines.read(file)] == [0]
    json_lines.append(file, {"number": 2})
    assert [entry["number"] for entry in json_lines.read(file)] == [0, 2]
    assert file.read_text().count("\n") == 3
