"""Generated lm-eval tasks of known sizes: words that are single tokens, so that every length is exact."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

SHOTS = 5
EXAMPLES = "fixed", "drawn"


@dataclass(frozen=True)
class Case:
    """One benchmark task.

    Attributes:
        kind: ``choice``, ``rolling`` or ``generate``.
        context: Tokens of a question.
        options: Answers of a question.
        answer: Tokens of an answer, or most tokens to generate.
        examples: ``none``, ``fixed`` (the same five for all questions) or ``drawn`` (lm-eval's default sampler).
    """

    kind: str
    context: int = 30
    options: int = 4
    answer: int = 5
    examples: str = "none"

    @property
    def name(self) -> str:
        """The task's name, also a row's name in the results."""
        shots = {"none": "zero-shot", "fixed": "5-shot, fixed examples", "drawn": "5-shot, drawn examples"}
        if self.kind == "rolling":
            return f"rolling perplexity, {self.context} tokens"
        what = (
            f"{self.options} options of {self.answer} token{'s' if self.answer > 1 else ''}"
            if self.kind == "choice"
            else f"generation, up to {self.answer} tokens"
        )
        return f"{what}, {shots[self.examples]}"


def single_tokens(tokenizer: Any, count: int) -> list[str]:
    """Words that are one token when a blank comes before them."""
    words = []
    for token in range(len(tokenizer)):
        text = tokenizer.decode([token])
        if text[:1] == " " and text[1:].isascii() and text[1:].islower() and text[1:].isalpha() and len(text) > 3:
            words.append(text[1:])
        if len(words) == count:
            return words
    raise ValueError(f"the tokenizer has only {len(words)} words that are single tokens")


def write(case: Case, folder: Path, words: list[str], questions: int, seed: int = 0) -> str:
    """Writes a task and its data.

    Args:
        case: What to write.
        folder: Where to.
        words: What texts are made of.
        questions: How many.
        seed: Of the draw.

    Returns:
        The task's name in lm-eval.
    """
    draw = np.random.default_rng(seed)
    name = f"{case.kind}_{case.context}_{case.options}_{case.answer}_{case.examples}"
    folder.mkdir(parents=True, exist_ok=True)

    def text(length: int) -> str:
        return " ".join(draw.choice(words, length))

    def rows(count: int) -> str:
        # Lengths scatter around the named one, as in real tasks.
        lengths = draw.integers(int(0.7 * case.context), int(1.3 * case.context) + 1, count)
        made = [
            {
                "text": text(length - 3),
                "options": [text(case.answer) for _ in range(case.options)],
                "gold": int(draw.integers(case.options)),
            }
            for length in lengths
        ]
        return "".join(json.dumps(row) + "\n" for row in made)

    (folder / f"{name}.jsonl").write_text(rows(questions), encoding="utf-8")
    (folder / f"{name}_examples.jsonl").write_text(rows(200), encoding="utf-8")
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(_declared(case, name, folder)), encoding="utf-8")
    return name


def _declared(case: Case, name: str, folder: Path) -> dict[str, Any]:
    files = {"test": str(folder / f"{name}.jsonl"), "train": str(folder / f"{name}_examples.jsonl")}
    task: dict[str, Any] = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": files},
        "test_split": "test",
        "fewshot_split": "train",
        "num_fewshot": 0 if case.examples == "none" else SHOTS,
    }
    if case.examples == "fixed":
        task["fewshot_config"] = {"sampler": "first_n"}
    if case.kind == "rolling":
        rolling = {"output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "{{text}}"}
        return task | rolling | {"metric_list": [{"metric": "bits_per_byte"}]}
    asked = {"doc_to_text": "question {{text}} answer", "target_delimiter": " "}
    if case.kind == "choice":
        chosen = {"output_type": "multiple_choice", "doc_to_choice": "{{options}}", "doc_to_target": "{{gold}}"}
        return task | asked | chosen | {"metric_list": [{"metric": "acc"}]}
    settings = {"until": ["\n"], "max_gen_toks": case.answer, "do_sample": False}
    made = {"output_type": "generate_until", "doc_to_target": "{{options[gold]}}", "generation_kwargs": settings}
    return task | asked | made | {"metric_list": [{"metric": "exact_match"}]}
