"""Searches without tasks: models of any kind, scored by the user's functions alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers

from evomerge.cli.main import main
from evomerge.merging import Checkpoints, Merger
from evomerge.recipe import Recipe
from evomerge.report import front_members
from evomerge.run.model_folder.verification import ExportMismatch, verify_weights
from evomerge.store import RunStore
from tests.building import VOCABULARY, perturbed

MINE = """
import torch

def nearness(model, tokenizer):
    assert type(model).__name__ == "BertModel" and not torch.is_grad_enabled()
    tokens = tokenizer(["a cat", "a cat sat", "four"], return_tensors="pt", padding=True)
    a, b, c = model(**tokens).last_hidden_state.mean(1)
    return float(torch.cosine_similarity(a, b, 0) - torch.cosine_similarity(a, c, 0))

def weight(model, tokenizer):
    return float(sum(p.square().sum() for p in model.parameters()))

weight.higher_is_better = False
"""
TOKENIZER = {"tokenizer_class": "BertTokenizer", "pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]"}


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence encoder as users have it, with a tokenizer that names neither BOS nor EOS, and two made of it."""
    folder = tmp_path_factory.mktemp("encoders")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, vocab_size=VOCABULARY
    )
    transformers.BertModel(config).save_pretrained(folder / "base")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz"]
    words += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    transformers.BertTokenizer(vocab={word: index for index, word in enumerate(words)}).save_pretrained(folder / "base")
    modules = [{"idx": 0, "path": ""}, {"idx": 1, "path": "1_Pooling"}, {"idx": 2, "path": "../A"}, {"path": ".."}]
    (folder / "base" / "modules.json").write_text(json.dumps(modules))
    (folder / "base" / "1_Pooling").mkdir()
    (folder / "base" / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    for seed, name in enumerate("AB", start=1):
        perturbed(folder / "base", folder / name, seed)
    (folder / "mine.py").write_text(MINE)
    return folder


def words(encoders: Path, run: Path, **changes: object) -> list[str]:
    functions = f"[{encoders / 'mine.py'}:nearness,{encoders / 'mine.py'}:weight]"
    told = {"models": f"[{encoders / 'A'},{encoders / 'B'}]", "base": encoders / "base", "functions": functions}
    told |= {"evaluations": 4, "run_dir": run, "model.threads": 1, **changes}
    return [f"{name}={value}" for name, value in told.items()]


@pytest.fixture(scope="module")
def run(encoders: Path) -> Path:
    """A finished search, in which each function is an objective as none was named."""
    assert main(["search", *words(encoders, encoders / "run")]) == 0
    return encoders / "run"


def test_a_search_needs_no_tasks(encoders: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of whatever kind the model is; and nothing is taken for held out."""
    store = RunStore.read(run)
    assert [o["label"] for o in store.manifest["objectives"]] == ["python.nearness", "python.weight"]
    assert [e.split for e in store.evaluations()] == ["search"] * 8
    assert store.manifest["config"]["searcher"]["name"] == "nsga2"
    text = (run / "report.md").read_text()
    assert "no items are held out in this run" in text
    assert "nothing is held out, so the scores of the best are optimistic" in text
    assert main(["check", *words(encoders, run)]) == 0
    assert "items per candidate: none, functions alone" in capsys.readouterr().out


@pytest.mark.slow
def test_worker_processes_give_the_same(encoders: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    again = encoders / "again"
    assert main(["search", *words(encoders, again, executor="processes")]) == 0
    assert "items per candidate: none, functions alone; budget: 4" in capsys.readouterr().err
    assert (again / "evaluations.jsonl").read_bytes() == (run / "evaluations.jsonl").read_bytes()


def test_an_export_is_proved_by_its_weights(
    encoders: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Functions are not called again, as a run may be someone else's: here their file is gone."""
    store = RunStore.read(run)
    mine = (encoders / "mine.py").rename(encoders / "away.py")
    assert main(["export", f"run={run}", "member=knee", f"out={tmp_path / 'out'}"]) == 0
    mine.rename(encoders / "mine.py")
    assert "its weights are the candidate's to the last bit" in capsys.readouterr().out
    assert (
        transformers.BertModel.from_pretrained(tmp_path / "out", output_loading_info=True)[1]["missing_keys"] == set()
    )
    assert (tmp_path / "out" / "1_Pooling" / "config.json").read_text() == '{"pooling_mode_mean_tokens": true}'
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    recipe = Recipe.from_json(front_members(store)[0].recipe)
    with pytest.raises(ExportMismatch, match="other weights"):
        verify_weights(store, Merger(Checkpoints.open(recipe)), recipe, encoders / "A")


def test_what_does_not_go_together_is_told(encoders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(verb: str, *more: str, **changes: object) -> str:
        assert main([verb, *words(encoders, tmp_path / "run", **changes), *more]) == 2
        return capsys.readouterr().err

    assert "or score by functions alone, functions=[FILE.py:NAME]" in told("check", functions="[]")
    assert "budgets.items: counts the items of tasks, and there are none" in told("check", **{"budgets.items": 9})
    (tmp_path / "quiz.jsonl").write_text('{"q": "a", "a": "b"}\n' * 3)
    task = f"tasks=[{{task: quiz, data: {tmp_path / 'quiz.jsonl'}, question: '{{{{q}}}}', answer: '{{{{a}}}}'}}]"
    assert "names neither a bos_token nor an eos_token" in told("check", task)
    named = json.loads((encoders / "base" / "config.json").read_text())
    (encoders / "base" / "config.json").write_text(json.dumps({**named, "architectures": ["LlamaForCausalLM"]}))
    try:
        assert "names LlamaForCausalLM in architectures, but transformers has no such model of" in told("check")
    finally:
        (encoders / "base" / "config.json").write_text(json.dumps(named, indent=2))
