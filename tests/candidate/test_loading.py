"""What a checkpoint's files say about generation is what transformers makes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import transformers

from evomerge.candidate import build_suite, load_tokenizer
from evomerge.candidate.loading import load_generation_settings
from evomerge.checkpoints import open_source
from evomerge.errors import InputError
from evomerge.fitness import FitnessSettings
from tests.building import edit_json, tiny, tiny_llama

TASK = {"task": "mine", "data": "mine.jsonl", "question": "{{q}}", "answer": "{{a}}", "max_gen_toks": 5}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_llama(tmp_path / "model", 0)


def write(folder: Path, text: str) -> None:
    (folder / "generation_config.json").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("generation", "config"),
    [
        ('{"num_beams": 3, "eos_token_id": [2, 5]}', {}),
        ('{"do_sample": true, "temperature": 0.6, "top_p": 0.9}', {"num_beams": 3}),
        (None, {"num_beams": 3, "repetition_penalty": 1.5}),  # as older models have them
        (None, {}),
        ('{"num_beams": 3', {"no_repeat_ngram_size": 2}),  # transformers then looks at the configuration
    ],
)
def test_settings_are_those_that_a_loaded_model_has(folder: Path, generation: str | None, config: Any) -> None:
    if generation is None:
        (folder / "generation_config.json").unlink(missing_ok=True)
    else:
        write(folder, generation)
    place = folder / "config.json"
    place.write_text(json.dumps({**json.loads(place.read_text()), **config}))
    found = load_generation_settings(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    settings = {key: value for key, value in model.generation_config.to_dict().items() if value is not None}
    assert found == {
        key: value for key, value in settings.items() if key not in ("transformers_version", "_from_model_config")
    }


def test_settings_that_transformers_refuses_are_an_error_of_that_file(folder: Path) -> None:
    write(folder, '{"num_return_sequences": 4}')
    with pytest.raises(InputError, match=r"generation_config\.json: its generation settings are refused: Greedy"):
        load_generation_settings(folder)


@pytest.mark.parametrize("left_out", [("max_position_embeddings",), ("vocab_size", "max_position_embeddings")])
def test_limits_that_the_config_leaves_out_are_those_of_its_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left_out: tuple[str, ...]
) -> None:
    folder = tiny("falcon", tmp_path / "model", 0)
    monkeypatch.chdir(folder)
    edit_json(folder / "config.json", **dict.fromkeys(left_out))
    rows = [{"q": f"Item {n}", "a": "x"} for n in range(40)]
    (folder / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    encoder = build_suite(FitnessSettings((TASK,)), open_source(folder), load_tokenizer(folder)).encoder
    assert encoder.max_length == 2048  # the tokenizer says 512, which lm-eval asks last
    assert encoder.rows == (65024 if "vocab_size" in left_out else 259)


def test_tasks_are_compared_with_the_checkpoints_settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    rows = [{"q": f"Item {n}", "a": "x"} for n in range(40)]
    (folder / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    source, tokenizer = open_source(folder), load_tokenizer(folder)
    write(folder, '{"num_beams": 3}')
    with pytest.raises(InputError, match=r"generation_config\.json asks for num_beams=3.*gen_kwargs=\{num_beams: 1\}"):
        build_suite(FitnessSettings((TASK,)), source, tokenizer)
    assert build_suite(FitnessSettings((TASK,), gen_kwargs={"num_beams": 1}), source, tokenizer).items["search"]
