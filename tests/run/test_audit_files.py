"""``evomerge audit`` on files of other programs: what it makes of them, warns of, and refuses with what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from evomerge.cli.main import main

Refused = Callable[[Sequence[str]], str]


def audited(tmp_path: Path, *words: str) -> dict[str, Any]:
    out = tmp_path / "audit.json"
    assert main(["audit", *words, f"json={out}"]) == 0
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def inspect_log(path: Path, right: int, cut: int = 0) -> Path:
    samples = [
        {
            "id": n, "epoch": 1, "input": f"q{n}", "target": "A",
            "scores": {"match": {"value": "C" if n < right else "I"}},
            "output": {"choices": [{"stop_reason": "max_tokens" if n >= 60 - cut else "stop"}]}, "metadata": {},
        }
        for n in range(60)
    ]  # fmt: skip
    path.write_text(json.dumps({"eval": {"task": "quiz"}, "samples": samples}))
    return path


def test_inspect_logs_with_unequal_truncation_get_no_verdict(tmp_path: Path) -> None:
    good, bad = inspect_log(tmp_path / "good.json", 55), inspect_log(tmp_path / "bad.json", 30)
    words = (f"a={good}", f"b={bad}", "metric=match", "tried=1")
    assert audited(tmp_path, *words)["verdict"] == "scores higher"
    inspect_log(bad, 30, cut=30)
    found = audited(tmp_path, *words)
    assert (found["verdict"], found["truncated"]) == ("truncation differs", [0.0, 0.5])
    assert found["low"] > 0.0
    assert any("no verdict: raise the limit" in warning for warning in found["warnings"])


def test_the_data_are_written_though_nobody_reads_the_page(tmp_path: Path) -> None:
    good, bad = inspect_log(tmp_path / "good.json", 55), inspect_log(tmp_path / "bad.json", 30)
    out = tmp_path / "audit.json"
    words = [sys.executable, "-m", "evomerge", "audit", f"a={good}", f"b={bad}", "metric=match", f"json={out}"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.close()
    assert json.loads(out.read_text())["verdict"] == "scores higher"


def generated(folder: Path, name: str, right: int, limit: int) -> Path:
    (folder / name).mkdir()
    rows = [
        {
            "doc_id": n, "doc": {"passage": "a text that several questions share, with many words " + str(n // 5)},
            "doc_hash": f"h{n}", "filter": "strict", "metrics": ["exact_match"], "exact_match": float(n < right),
            "prompt_hash": f"{name if n < 3 else 0}", "resps": [["x"]],
            "arguments": {"gen_args_0": {"arg_0": "q", "arg_1": {"max_gen_toks": limit}}},
        }
        for n in range(120 if name == "a" else 110)
    ]  # fmt: skip
    (folder / name / "samples_gen_2026-01-02T00-00-00.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return folder / name


def test_what_a_reader_should_know_is_said(tmp_path: Path, problems_of: Refused) -> None:
    words = [f"a={generated(tmp_path, 'a', 100, 64)}", f"b={generated(tmp_path, 'b', 80, 256)}"]
    told = problems_of(["audit", *words])
    assert "has no 'acc'" in told
    assert "exact_match,strict" in told
    assert "did you mean 'exact_match,strict'?" in problems_of(["audit", *words, "metric=exact_match"])
    found = audited(tmp_path, *words, "metric=exact_match,strict")
    assert found["items"] == 110
    for said in (
        "10 of 120 items", "asked 3 of 110 items in other words", "max_gen_toks", "do not say which answers reached",
        "cluster=passage counts them together", "tried was not given",
    ):  # fmt: skip
        assert any(said in warning for warning in found["warnings"]), said
    assert audited(tmp_path, *words, "metric=exact_match,strict", "cluster=passage")["clusters"] == 22


def chosen(folder: Path, right: int) -> Path:
    """A file of options compared, beside what others wrote there."""
    rows = [
        {
            "doc_id": n, "doc": {"q": n}, "doc_hash": f"c{n}", "filter": "none", "metrics": ["acc"],
            "acc": float(n < right), "arguments": {"gen_args_0": {"arg_0": "q", "arg_1": " yes"}}, "resps": [[-1.0]],
        }
        for n in range(120)
    ]  # fmt: skip
    path = folder / "samples_choice_2026-01-02T00-00-00.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_folder_of_several_tasks_is_judged_by_the_one_that_is_named(tmp_path: Path, problems_of: Refused) -> None:
    """As lm-eval writes it: a folder for each model, and in it a file for each task."""
    words = []
    for key, name, right in (("a", "one", 90), ("b", "two", 70)):
        chosen(generated(tmp_path, name, right, 64 if name == "one" else 256), right)
        (tmp_path / name).rename(tmp_path / "moved")
        (tmp_path / name).mkdir()
        (tmp_path / "moved").rename(tmp_path / name / "org__model")
        words.append(f"{key}={tmp_path / name}")
    told = problems_of(["audit", *words])
    assert "2 problems" in told
    assert "which are of gen; metric=choice.acc compares choice alone" in told
    found = audited(tmp_path, *words, "metric=choice.acc", "tried=1")
    assert (found["tasks"], found["verdict"], found["warnings"]) == (["choice"], "scores higher", [])
    told = " ".join(audited(tmp_path, *words, "metric=gen.exact_match,strict", "tried=1")["warnings"])
    assert f"{tmp_path / 'one'}: 64; {tmp_path / 'two'}: 256" in told
    assert "do not say which answers reached" in told
    generated(tmp_path / "two", "other", 70, 64)
    assert f"samples of 2 models: name one of {tmp_path / 'two' / 'org__model'}" in problems_of(["audit", *words])


def test_answers_are_not_replaced_by_what_is_said_of_them(tmp_path: Path, problems_of: Refused) -> None:
    folder = generated(tmp_path, "a", 70, 64)
    samples, other = chosen(tmp_path, 60), tmp_path / "other.jsonl"
    other.write_bytes(before := samples.read_bytes())
    told = problems_of(["audit", f"a={samples}", f"b={other}", f"json={other}", "tried=0"])
    assert f"json: {other} holds answers of b" in told
    assert "2 problems" in told
    assert other.read_bytes() == before
    inside = next(path for path in folder.rglob("*") if path.is_file())
    told = problems_of(["audit", f"a={other}", f"b={other}", f"c=[{folder}]", f"json={inside}"])
    assert f"json: {inside} holds answers of c" in told
    assert audited(tmp_path, f"a={samples}", f"b={other}")["items"] == 120


def test_files_beside_the_ones_that_are_meant_are_told_apart(tmp_path: Path, problems_of: Refused) -> None:
    results, lines, logs = tmp_path / "results_x.json", tmp_path / "published.json", tmp_path / "logs"
    results.write_text(json.dumps({"results": {"choice": {"acc,none": 0.5}}, "configs": {}}))
    logs.mkdir()
    (logs / "2026_quiz.eval").touch()
    told = problems_of(["audit", f"a={results}", f"b={logs}"])
    assert "name the samples_*.jsonl beside it, which lm-eval writes with --log_samples" in told
    assert "it has logs, such as 2026_quiz.eval: name one of them" in told
    samples = chosen(tmp_path, 60)
    lines.write_text(samples.read_text())
    assert audited(tmp_path, f"a={lines}", f"b={samples}")["items"] == 120
