"""Searches of models whose vocabularies differ."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file

from evomerge.cli.main import main
from evomerge.store import RunStore
from tests.run.family import Family
from tests.vocabularies import EMBEDDING, HEAD, resized, spoken


@pytest.fixture(scope="module")
def speakers(family: Family, tmp_path_factory: pytest.TempPathFactory) -> Family:
    """The family with an expert of fewer rows, one of more with a token of its own, and one of other ids."""
    folder = tmp_path_factory.mktemp("speakers")
    resized(family.folder / "base", folder / "base", 264, seed=1)
    resized(folder / "base", folder / "one", 259, seed=2)
    resized(folder / "base", folder / "two", 272, "<tool>", seed=3)
    spoken(folder / "base", folder / "other", "ab", "<end>", seed=4)
    shutil.copytree(family.folder / "tasks", folder / "tasks")
    return Family(folder)


def searched(family: Family, run: Path, **changes: object) -> Path:
    """Two candidates, and a member of the front, exported and proved to answer as it did."""
    few = {
        "evaluations": 2,
        "searcher": "random",
        "searcher.population": None,
        "items_per_task": 4,
        "test_items_per_task": 4,
    }
    assert family.search(run, **few, **changes) == 0
    records = [json.loads(line) for line in (run / "evaluations.jsonl").read_text().splitlines()]
    assert len([r for r in records if r["split"] == "search" and r["name"] is None]) == 2
    assert not [r["error"] for r in records if r["error"]]
    out = run.parent / f"{run.name} exported"
    assert main(["export", f"run={run}", "member=knee", f"out={out}"]) == 0
    return out


def test_padded_vocabularies(
    speakers: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str], problems_of: Callable[[Sequence[str]], str]
) -> None:
    """Common rows are searched; another order of tokens is refused, or taken with the base's embeddings."""
    out = searched(speakers, tmp_path / "rows")
    assert transformers.AutoModelForCausalLM.from_pretrained(out).get_input_embeddings().weight.shape[0] == 264
    warnings = RunStore.read(tmp_path / "rows").manifest["warnings"]
    assert any("'<tool>' (id 259)" in text for text in warnings)
    models = f"[{speakers.folder / 'one'},{speakers.folder / 'other'}]"
    said = problems_of(["check", *speakers.words(tmp_path / "none", models=models)])
    assert "vocabulary differs from the reference's in 256 tokens" in said
    assert "tokenizer=base or union" in said
    capsys.readouterr()
    assert main(["check", "--headers", *speakers.words(tmp_path / "none", models=models, embeddings="base")]) == 0
    told = capsys.readouterr().out
    assert "its embeddings are not used" in told
    assert "embedding" not in told.partition("genes:")[2].partition("population")[0]


@pytest.mark.parametrize("executor", ["local", pytest.param("processes", marks=pytest.mark.slow)])
def test_a_union_is_searched(speakers: Family, tmp_path: Path, executor: str) -> None:
    """Prompts are written in the union's tokens, by every worker, and the export has them."""
    models = f"[{speakers.folder / 'one'},{speakers.folder / 'other'}]"
    out = searched(speakers, tmp_path / "union", models=models, tokenizer="union", executor=executor)
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    model = transformers.AutoModelForCausalLM.from_pretrained(out)
    assert tokenizer("ab<end>").input_ids == [259, 260]
    assert model.config.vocab_size == model.get_output_embeddings().weight.shape[0] == 264
    identity = RunStore.read(tmp_path / "union").manifest["identity"]
    assert len(identity["tokenizer"]) == 64


@pytest.mark.parametrize("source", ["union", "base", "other"])
def test_tokenizer_source_of_mergekit(speakers: Family, tmp_path: Path, source: str) -> None:
    """Its rules, worked out token by token: the base's row where a model has none, or the one model's that has one."""
    folders = {name: speakers.folder / name for name in ("base", "one", "other")}
    weights = {"one": 0.5, "other": 0.3}
    configuration = {
        "merge_method": "task_arithmetic",
        "base_model": str(folders["base"]),
        "models": [{"model": str(folders[name]), "parameters": {"weight": w}} for name, w in weights.items()],
        "tokenizer_source": str(folders.get(source, source)) if source != "base" else source,
        "dtype": "float32",
    }
    (tmp_path / "recipe.yml").write_text(json.dumps(configuration))
    out = tmp_path / "out"
    assert main(["merge", f"recipe={tmp_path / 'recipe.yml'}", f"out={out}"]) == 0
    vocabulary = transformers.AutoTokenizer.from_pretrained(out).get_vocab()
    known = {name: transformers.AutoTokenizer.from_pretrained(folder).get_vocab() for name, folder in folders.items()}
    assert len(vocabulary) == {"union": 261, "base": 259, "other": 261}[source]
    for tensor in (EMBEDDING, HEAD):
        merged = load_file(out / "model.safetensors")[tensor]
        rows = {name: load_file(folder / "model.safetensors")[tensor].float() for name, folder in folders.items()}
        assert len(merged) == len(vocabulary)
        for token, index in vocabulary.items():
            has = {name: rows[name][ids[token]] for name, ids in known.items() if token in ids}
            default = has["base"] if "base" in has else next(iter(has.values()))
            base = has.get("base", default)
            expected = base + sum(weight * (has.get(name, default) - base) for name, weight in weights.items())
            torch.testing.assert_close(merged[index], expected, rtol=1e-6, atol=1e-7)
