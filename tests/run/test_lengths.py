"""A search of accuracy against length of answers, where the limit cuts one expert more than the others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from evomerge.cli.main import main
from evomerge.store import RunStore
from tests.building import perturbed, rewrite, tiny_llama
from tests.fitness.conftest import WORDS, load_model

WARNED = "limits cut "


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A base that stops now and then, an expert like it, and one whose answers never end."""
    folder = tmp_path_factory.mktemp("lengths")
    base = load_model(tiny_llama(folder / "base", 3, dtype=torch.float32))
    base.save_pretrained(folder / "base")
    perturbed(folder / "base", folder / "like", 1, 0.02)
    perturbed(folder / "base", folder / "endless", 2, 0.02)
    rewrite(folder / "endless", lambda tensors: tensors["lm_head.weight"].zero_())  # it writes the padding token alone
    questions = (" ".join([*(WORDS[(n + k) % 12] for k in range(2 + n % 4)), str(n)]) for n in range(60))
    rows = [{"q": question, "a": "abcdf"[n % 5]} for n, question in enumerate(questions)]
    (folder / "free.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = "question: '{{q}}', answer: '{{a}}', stop: [e, ' '], max_gen_toks: 12"
    task = f"{{task: free, data: {folder / 'free.jsonl'}, {asked}}}"
    return [
        f"models=[{folder / 'like'},{folder / 'endless'}]", f"base={folder / 'base'}", f"tasks=[{task}]",
        "method=task_arithmetic", "objectives=[free.exact_match,free.tokens]", "evaluations=5", "searcher.population=5",
        "confirm.scales=[]", "confirm.finalists=2", "progress=none", "model.threads=1", "model.device=cpu",
    ]  # fmt: skip


def test_accuracy_against_length_from_search_to_report(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", *words, f"run_dir={tmp_path / 'run'}"]) == 0
    store = RunStore.read(tmp_path / "run")
    cut = {e.name: e.metrics["free.truncated"] for e in store.evaluations("search") if e.name}
    assert cut["expert:endless"] == 1.0
    assert max(cut["base"], cut["expert:like"]) < 0.7
    for evaluation in store.evaluations():
        answers = store.responses(evaluation)
        assert evaluation.metrics["free.tokens"] == pytest.approx(sum(one.tokens[0] for one in answers) / len(answers))
    told = [line for line in capsys.readouterr().err.splitlines() if WARNED in line]
    assert len(told) == 1
    assert told[0].startswith("warning: limits cut endless more often than ")
    assert "fitness.gen_kwargs={max_gen_toks: N}" in told[0]
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert '"unit":"tokens"' in page
    assert "Limits cut endless more often than" in page


def test_check_names_them_and_objectives_default_to_none_of_them(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unnamed = [word for word in words if not word.startswith("objectives=")]
    assert main(["check", *unnamed, "searcher.name=cmaes", f"run_dir={tmp_path / 'run'}"]) == 0
    said = capsys.readouterr().out
    assert "metrics exact_match, tokens, truncated" in said
    assert [line for line in said.splitlines() if line.startswith("objective ")] == [
        "objective free.exact_match (higher is better)"
    ]
    assert main(["check", *unnamed, "objectives=[free.token]", f"run_dir={tmp_path / 'run'}"]) == 2
    assert "did you mean 'tokens'" in capsys.readouterr().err
