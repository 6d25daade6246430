"""Texts that rounding changes: with drafts, and between two batch sizes of plain generation, in bfloat16 and float32.

    python -m experiments.generation.rounding [--models FOLDER] [--work FOLDER] [--items 200]

The model is the average of both experts, the task is chat; drafts are what each expert answers to the same item. Every
way is compared with plain generation of each prompt alone.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch

from evomerge.fitness import Generated
from evomerge.fitness.inference.batches import Limits
from evomerge.fitness.inference.scoring import BatchScorer
from experiments.generation.ways import Asked
from experiments.machine import machine
from experiments.smollm2.prepare import DEFAULT_WORK

RESULTS = Path("results/generation")
LIMIT = 48  # tokens of an answer
ROWS = 8
SPLITS = "fitness.splits={search: 0.9, selection: 0.05, test: 0.05}"  # there are 240 items


def texts(asked: Asked, rows: int, known: Sequence[Sequence[tuple[int, ...]]] | None) -> list[Generated]:
    """What the installed model answers.

    Args:
        asked: The task.
        rows: Prompts that are generated together.
        known: Answers that are known of each item, for drafts; None for plain generation.
    """
    scorer = BatchScorer(asked.tokenizer, Limits(asked.model.config.vocab_size, rows=rows), verify=known is not None)
    made = scorer.answer(asked.model, scorer.plan(asked.prompts(LIMIT)), known)
    return [answer for answer in made if isinstance(answer, Generated)]


def measure(asked: Asked, dtype: str) -> dict[str, object]:
    """Shares of texts that differ from those of prompts that are generated alone."""
    known: list[list[tuple[int, ...]]] = [[] for _ in asked.items]
    for name, recipe in asked.baselines.items():
        if name.startswith("expert"):
            asked.install(recipe)
            for answers, made in zip(known, texts(asked, ROWS, known), strict=True):
                answers.append(made.ids)
    asked.install(asked.baselines["uniform"])
    alone = texts(asked, 1, None)
    ways = {
        f"plain, {ROWS} together": texts(asked, ROWS, None),
        "without drafts of others": texts(asked, ROWS, [() for _ in known]),
        "with drafts of both experts": texts(asked, ROWS, known),
    }
    shares = {
        name: sum(one.text != other.text for one, other in zip(made, alone, strict=True)) / len(alone)
        for name, made in ways.items()
    }
    return {"dtype": dtype, "items": len(alone), "tokens": LIMIT, "differ": shares}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=DEFAULT_WORK)
    parser.add_argument("--work", type=Path, default=Path("experiments/generation/work"))
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--dtypes", nargs="+", default=["bfloat16", "float32"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    RESULTS.mkdir(parents=True, exist_ok=True)
    file = RESULTS / "rounding.json"
    found = json.loads(file.read_text())["measured"] if file.exists() else []
    for dtype in arguments.dtypes:
        if dtype in [one["dtype"] for one in found]:
            continue
        asked = Asked("chat", arguments.models, dtype, arguments.items, arguments.work, SPLITS)
        found.append(measure(asked, dtype))
        about = machine("torch", "transformers")
        file.write_text(json.dumps({"machine": about, "measured": found}, indent=1) + "\n", encoding="utf-8")
        print(found[-1], flush=True)


if __name__ == "__main__":
    main()
