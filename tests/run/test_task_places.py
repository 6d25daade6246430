"""Where the files of tasks lie is no part of what a run is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evomerge.config import compose
from evomerge.run.description.identity import worded
from evomerge.run.search import prepare
from tests.run.family import Family


def tasks(identity: dict[str, Any]) -> Any:
    """The tasks in an identity."""
    return identity["fitness"]["tasks"]


def test_a_run_is_the_same_on_every_executor_and_from_everywhere(
    family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers that share a run open files by absolute paths; its identity has the words that it began with."""
    rows = (family.folder / "tasks" / "first.jsonl").read_text()
    (tmp_path / "quiz.jsonl").write_text(rows)
    monkeypatch.chdir(tmp_path)

    def identity_of(data: str, executor: str, run: Path | None = None) -> dict[str, Any]:
        quiz = f"{{task: quiz, data: {data}, question: '{{{{question}}}}', choices: '{{{{options}}}}', "
        quiz += "answer: '{{answer}}', output_type: multiple_choice}"
        words = family.words(run or tmp_path / "run", tasks=f"[{quiz},second]", executor=executor)
        found = prepare(compose.search(words))
        assert "quiz" in found.assembly.suite.items["search"]
        return json.loads(json.dumps(found.identity))

    local = identity_of("quiz.jsonl", "local")
    assert tasks(local)[0]["data"] == "quiz.jsonl"
    assert identity_of("quiz.jsonl", "folder") == local
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "manifest.json").write_text(json.dumps({"format": 2, "identity": local}))
    assert identity_of(str(tmp_path / "quiz.jsonl"), "folder") == local
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "quiz.jsonl").write_text(rows.replace('"answer": 1', '"answer": 2'))
    assert identity_of("else/quiz.jsonl", "local")["items"] != local["items"], "equal names are not equal files"


def test_the_words_are_those_that_the_run_began_with() -> None:
    def of(*words: Any) -> dict[str, Any]:
        return {"fitness": {"tasks": list(words), "seed": 1}, "seed": 1}

    given = ("arc", "/there/own.yaml", {"task": "q", "data": "/x/q.jsonl", "fewshot": "f.jsonl"})
    stored = ("arc", "own.yaml", {"task": "q", "data": "q.jsonl", "fewshot": "/x/f.jsonl"})
    assert worded(of(), given, of(*stored)) == of(*stored)
    assert worded(of(), given, None) == of(*given)
    for other in (("arc",), ("arc2", *stored[1:]), (*stored[:2], {**stored[2], "num_fewshot": 1})):  # type: ignore[dict-item]
        assert worded(of(), given, of(*other)) == of(*given)
