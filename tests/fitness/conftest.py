"""A tiny real model and real lm-eval tasks over local files."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers.pre_tokenizers import ByteLevel

from evomerge.evaluation import Response
from evomerge.fitness import FitnessSettings, Scorer, TaskSuite
from tests.building import SPECIAL_TOKENS, tiny_llama

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
torch.set_num_threads(1)  # models this small only wait for their threads

ALL = ("pair", "cloze", "prose", "echo")
ALPHABET = sorted(ByteLevel.alphabet())
LOUD = [len(SPECIAL_TOKENS) + ALPHABET.index(letter) for letter in "abcdefĠĊ"]
WORDS = ["apple", "river", "stone", "cloud", "tiger", "lemon", "paper", "ocean", "candle", "forest", "silver", "window"]

CHOICE = """
task: choice
dataset_path: json
dataset_kwargs:
  data_files:
    test: choice.jsonl
test_split: test
output_type: multiple_choice
doc_to_text: "Which word ends {{stem}}?\\nAnswer:"
doc_to_choice: "{{options}}"
doc_to_target: "{{gold}}"
metric_list:
  - metric: acc
  - metric: acc_norm
  - metric: acc_mutual_info
  - metric: brier_score
"""
LETTERS = """
task: letters
dataset_path: json
dataset_kwargs:
  data_files: {test: choice.jsonl, train: shots.jsonl}
test_split: test
fewshot_split: train
output_type: multiple_choice
doc_to_text: "{{stem}} is one of A, B, C or D:"
doc_to_choice: ["A", "B", "C", "D"]
doc_to_target: gold
"""
CLOZE = """
task: cloze
dataset_path: json
dataset_kwargs: {data_files: {validation: cloze.jsonl}}
validation_split: validation
output_type: loglikelihood
doc_to_text: "{{context}}"
doc_to_target: " {{word}}"
metric_list:
  - {metric: perplexity, aggregation: perplexity, higher_is_better: false}
  - {metric: acc, aggregation: mean, higher_is_better: true}
"""
PROSE = """
task: prose
dataset_path: json
dataset_kwargs: {data_files: {test: prose.jsonl}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
"""
ECHO = """
task: echo
dataset_path: json
dataset_kwargs: {data_files: {test: cloze.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "{{context}}"
doc_to_target: "{{letter}}"
generation_kwargs: {until: ["e", "\\n"], do_sample: false, max_gen_toks: 12}
filter_list:
  - name: first-letter
    filter:
      - {function: regex, regex_pattern: "([a-f])"}
      - {function: take_first}
  - name: whole
    filter:
      - {function: lowercase}
      - {function: take_first}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true}
"""
# Two ways to fill a gap: the options are contexts, and what follows them is scored.
GAP = """
task: gap
dataset_path: json
dataset_kwargs: {data_files: {test: choice.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{gold}}"
doc_to_choice: options
doc_to_target: "is the word after {{stem}}."
"""
# Several right answers.
EITHER = """
task: either
dataset_path: json
dataset_kwargs: {data_files: {test: choice.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{stem}}:"
doc_to_choice: options
doc_to_target: "{{[gold, (gold + 1) % 4]}}"
"""
PAIR = """
group: pair
task: [choice, letters]
aggregate_metric_list:
  - {metric: acc, weight_by_size: true}
  - {metric: acc_norm, weight_by_size: false}
"""


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def choice_rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        options = [" ".join(draw.sample(WORDS, draw.randint(1, 3))) for _ in range(4)]
        rows.append({"stem": f"{draw.choice(WORDS)} {number}", "options": options, "gold": draw.randrange(4)})
    return rows


def _cloze(context: str, draw: random.Random) -> dict[str, str]:
    return {"context": context, "word": draw.choice(WORDS), "letter": draw.choice("abcdf")}


@pytest.fixture(scope="session")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tasks")
    draw = random.Random(5)
    write_jsonl(folder / "choice.jsonl", choice_rows(40))
    write_jsonl(folder / "shots.jsonl", choice_rows(12, seed=1))
    contexts = [" ".join(draw.choices(WORDS, k=draw.randint(2, 6))) for _ in range(30)]
    write_jsonl(folder / "cloze.jsonl", [_cloze(text, draw) for text in contexts])
    texts = [" ".join(draw.choices(WORDS, k=draw.choice([3, 12, 40]))) for _ in range(16)]
    write_jsonl(folder / "prose.jsonl", [{"text": f"{text}. {place}"} for place, text in enumerate(texts)])
    for name, text in {
        "choice": CHOICE,
        "letters": LETTERS,
        "cloze": CLOZE,
        "prose": PROSE,
        "echo": ECHO,
        "gap": GAP,
        "either": EITHER,
        "pair": PAIR,
    }.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("model"), seed=3, dtype=torch.float32)


def load_model(checkpoint: Path, seed: int = 0, dtype: torch.dtype = torch.float32) -> transformers.PreTrainedModel:
    """The checkpoint with weights large enough that its opinions differ from item to item."""
    model = transformers.AutoModelForCausalLM.from_pretrained(checkpoint, dtype=dtype).eval()
    shake(model, seed)
    return model


def shake(model: torch.nn.Module, seed: int) -> None:
    """Gives the model other weights in place, as a search does between candidates."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.4)
        # What it writes of its own accord are a few letters and blanks, so that stop texts and filters have work to do.
        quiet = torch.ones(len(model.lm_head.weight), dtype=torch.bool)
        quiet[LOUD] = False
        model.lm_head.weight[quiet] *= 0.1


def build(tasks: Path, tokenizer: Any, model: Any, names: tuple[Any, ...] = ALL, **changes: Any) -> TaskSuite:
    """A suite over tasks of the folder, with short sequences."""
    settings = FitnessSettings(names, (str(tasks),), **{"max_length": 64, **changes})
    return TaskSuite.build(settings, tokenizer, config=model.config)


def scored(
    suite: TaskSuite, model: Any, split: str = "search", items: Any = None
) -> tuple[dict[str, float], list[Response]]:
    """Metrics and responses of a model whose traits are found out now."""
    responses = Scorer.of(model, suite).score(model, split, items)
    return suite.aggregate(responses), responses


@pytest.fixture(scope="session")
def tokenizer(checkpoint: Path) -> Any:
    return transformers.AutoTokenizer.from_pretrained(checkpoint)


@pytest.fixture
def model(checkpoint: Path) -> transformers.PreTrainedModel:
    return load_model(checkpoint)


@pytest.fixture
def suite(tasks: Path, tokenizer: Any, model: Any) -> TaskSuite:
    return build(tasks, tokenizer, model)
