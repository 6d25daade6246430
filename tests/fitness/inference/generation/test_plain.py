"""Generated texts are lm-eval's: the same settings and arguments, its own Hugging Face backend beside ours."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lm_eval
import pytest
import torch
import transformers
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from evomerge.errors import InputError
from evomerge.fitness import FitnessSettings, Scorer, TaskSuite
from evomerge.fitness.inference.batches import Limits
from evomerge.fitness.inference.requests import Generated, Prompt
from evomerge.fitness.inference.scoring import BatchScorer
from tests.fitness.conftest import LOUD, WORDS, load_model, write_jsonl

A, B, E = LOUD[0], LOUD[1], LOUD[4]  # the tokens "a", "b" and "e"
END = 2
LENGTH = 64
ARGUMENTS = {"until": ["zz"], "do_sample": False, "max_gen_toks": 8}
TASK = """
task: sayings
dataset_path: json
dataset_kwargs: {data_files: {test: sayings.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "{{context}}"
doc_to_target: "a"
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""
# Settings that change texts, whether a checkpoint makes them or a task does.
TELLING: Mapping[str, Any] = {
    "repetition_penalty": 1.5,
    "no_repeat_ngram_size": 2,
    "bad_words_ids": [[A], [B, E]],
    "suppress_tokens": [A, E],
    "begin_suppress_tokens": [A, B, E],
    "sequence_bias": [[[A], -5.0], [[B, E], 8.0]],
    "exponential_decay_length_penalty": [2, 1.5],
    "forced_eos_token_id": END,
    "eos_token_id": [END, E],  # a letter that ends a text is part of it
}
# Settings of a checkpoint that lm-eval overrides, or that greedy generation ignores.
SILENT: Mapping[str, Any] = {
    "max_length": 5,
    "do_sample": True,
    "temperature": 0.7,
    "top_k": 3,
    "use_cache": False,
    "cache_implementation": "static",
    "pad_token_id": 9,
    "prefill_chunk_size": 4,
    "early_stopping": True,
    "length_penalty": 2.0,
    "renormalize_logits": True,
    "num_assistant_tokens": 3,
    "min_new_tokens": 3,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task whose prompts begin alike and have several lengths."""
    folder = tmp_path_factory.mktemp("sayings")
    draw = random.Random(5)
    texts = [" ".join(["river stone", *draw.choices(WORDS, k=draw.randint(2, 6))]) for _ in range(12)]
    write_jsonl(folder / "sayings.jsonl", [{"context": text} for text in texts])
    return folder


@pytest.fixture(scope="module")
def unchanged(folder: Path, checkpoint: Path, tokenizer: Any) -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return theirs(folder, changed(checkpoint, {}), tokenizer, {})


def changed(checkpoint: Path, settings: Mapping[str, Any]) -> Any:
    model = load_model(checkpoint, seed=1)
    for name, value in {"eos_token_id": END, **settings}.items():
        setattr(model.generation_config, name, copy.deepcopy(value))
    return model


def write_task(folder: Path, arguments: Mapping[str, Any]) -> None:
    text = f"{TASK}generation_kwargs: {json.dumps({**ARGUMENTS, **arguments})}\n"
    (folder / "sayings.yaml").write_text(text, encoding="utf-8")


def theirs(folder: Path, model: Any, tokenizer: Any, arguments: Mapping[str, Any]) -> list[str]:
    write_task(folder, arguments)
    loaded = TaskManager(include_path=str(folder), include_defaults=False).load(["sayings"])
    lm = HFLM(pretrained=model, tokenizer=copy.deepcopy(tokenizer), batch_size=4, max_length=LENGTH)
    result = lm_eval.evaluate(lm, loaded, bootstrap_iters=0, log_samples=True)
    assert result is not None
    samples = sorted(result["samples"]["sayings"], key=lambda sample: sample["doc_id"])
    return [sample["resps"][0][0] for sample in samples]


def ours(
    folder: Path, model: Any, tokenizer: Any, arguments: Mapping[str, Any], prefixes: str
) -> tuple[list[str], TaskSuite]:
    write_task(folder, arguments)
    settings = FitnessSettings(
        ("sayings",),
        (str(folder),),
        splits={"search": 1.0, "selection": 0.0, "test": 0.0},
        max_length=LENGTH,
        prefixes=prefixes,
    )
    generation = {name: value for name, value in model.generation_config.to_dict().items() if value is not None}
    suite = TaskSuite.build(settings, tokenizer, config=model.config, generation=generation)
    return [response.texts[0] for response in Scorer.of(model, suite).score(model, "search")], suite


@pytest.mark.parametrize("by", ["checkpoint", "task"])
@pytest.mark.parametrize("name", sorted(TELLING))
def test_honoured_settings_give_the_texts_of_lm_eval(
    name: str,
    by: str,
    folder: Path,
    checkpoint: Path,
    tokenizer: Any,
    unchanged: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    given = {name: TELLING[name]}
    own, arguments = (given, {}) if by == "checkpoint" else ({}, given)
    expected = theirs(folder, changed(checkpoint, own), tokenizer, arguments)
    assert expected != unchanged
    for prefixes in ("plain", "shared"):
        assert ours(folder, changed(checkpoint, own), tokenizer, arguments, prefixes)[0] == expected


def test_settings_that_greedy_generation_ignores_are_ignored(
    folder: Path, checkpoint: Path, tokenizer: Any, unchanged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert theirs(folder, changed(checkpoint, SILENT), tokenizer, {}) == unchanged
    for prefixes in ("plain", "shared"):
        assert ours(folder, changed(checkpoint, SILENT), tokenizer, {}, prefixes)[0] == unchanged


def test_a_checkpoints_own_limit_counts_as_in_lm_eval(
    folder: Path, checkpoint: Path, tokenizer: Any, unchanged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    own = {"max_new_tokens": 4}
    expected = theirs(folder, changed(checkpoint, own), tokenizer, {})
    assert expected != unchanged
    texts, suite = ours(folder, changed(checkpoint, own), tokenizer, {}, "plain")
    assert texts == expected
    told = "generation_config.json sets max_new_tokens=4, which counts instead of max_gen_toks=8, as in lm-eval"
    assert any(told in warning for warning in suite.warnings)
    with pytest.raises(InputError, match=r"max_new_tokens=60, which counts instead of max_gen_toks=8.*more than .* 64"):
        ours(folder, changed(checkpoint, {"max_new_tokens": 60}), tokenizer, {}, "plain")


def test_settings_that_are_not_honoured_are_refused_with_the_task(
    folder: Path, checkpoint: Path, tokenizer: Any, unchanged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    own = {"num_beams": 3, "stop_strings": ["x"]}
    with pytest.raises(InputError) as refused:
        ours(folder, changed(checkpoint, own), tokenizer, {}, "plain")
    first, second = refused.value.problems
    assert first.startswith("task 'sayings': generation_config.json asks for num_beams=3: it searches with beams")
    assert "set fitness.gen_kwargs={num_beams: 1} (12 of 12 items, the first is " in first
    assert "stop_strings=['x']" in second
    remedy = {"num_beams": 1, "stop_strings": None}
    assert ours(folder, changed(checkpoint, own), tokenizer, remedy, "shared")[0] == unchanged


def test_answers_have_their_tokens(model: Any, tokenizer: Any) -> None:
    model.generation_config.eos_token_id = END
    scorer = BatchScorer(tokenizer, Limits(259))
    prompts = [Prompt(torch.arange(70, 70 + n).numpy(), ("e",), 12) for n in (3, 9, 20, 4)]
    for answer in scorer.answer(model, scorer.plan(prompts)):
        assert isinstance(answer, Generated)
        text = tokenizer.decode(answer.ids, skip_special_tokens=True)
        assert text.split("e")[0] == answer.text
        assert answer.truncated == (len(answer.ids) == 12 and "e" not in text)
        assert ("e" in text) == (not answer.truncated)


def test_padding_that_the_model_has_no_row_for_is_not_used(checkpoint: Path, tokenizer: Any) -> None:
    """A tokenizer that was given a padding token, and a model that was not."""
    extended = copy.deepcopy(tokenizer)
    extended.add_special_tokens({"pad_token": "<padding>"})
    model = load_model(checkpoint)
    assert extended.pad_token_id >= model.get_input_embeddings().weight.shape[0]
    prompts = [Prompt(torch.arange(70, 70 + n).numpy(), ("e",), 12) for n in (3, 9, 20, 4)]
    both = [BatchScorer(made, Limits(259)) for made in (tokenizer, extended)]
    plain, padded = (scorer.answer(model, scorer.plan(prompts)) for scorer in both)
    assert plain == padded


def test_a_models_number_of_positions_bounds_the_length(folder: Path, tokenizer: Any) -> None:
    write_task(folder, {})
    table = transformers.GPT2Config(n_positions=32, vocab_size=300)
    computed = transformers.LlamaConfig(max_position_embeddings=32, vocab_size=300)
    settings = FitnessSettings(("sayings",), (str(folder),), max_length=48)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for config in (table, table.to_dict()):
            with pytest.raises(InputError, match="max_length is 48, but the model has positions for 32"):
                TaskSuite.build(settings, tokenizer, config=config)
        assert TaskSuite.build(settings, tokenizer, config=computed).items["search"]
