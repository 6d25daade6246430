"""Texts that rounding changes: with drafts, and between two batch sizes of plain generation, in bfloat16 and float32.

    python -m experiments.generation.rounding [--models FOLDER] [--work FOLDER] [--items 200]

The models are the base plus a share of each of both experts' deltas, the task is chat; drafts are what each expert
answers to the same item. Every way is compared with plain generation of each prompt alone, and with plain generation in
batches item by item: on how many did it alone differ, and on how many did they? Batches are of prompts of like lengths,
as in lm-eval, and of prompts as they come, which pad.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import torch

from evomerge.fitness import Generated, Prompt
from evomerge.fitness.inference.batches import Limits
from evomerge.fitness.inference.scoring import BatchScorer
from experiments.generation.ways import Asked
from experiments.machine import machine
from experiments.smollm2.prepare import DEFAULT_WORK

RESULTS = Path("results/generation")
LIMIT = 48  # tokens of an answer
ROWS = 8
WEIGHTS = (0.5, 0.3, 0.7)
ALIKE, MIXED = f"plain, {ROWS} together", f"plain, {ROWS} together as items come"
SPLITS = "fitness.splits={search: 0.9, selection: 0.05, test: 0.05}"  # there are 240 items


def texts(asked: Asked, rows: int, known: Sequence[Sequence[tuple[int, ...]]] | None) -> list[Generated]:
    """What the installed model answers.

    Args:
        asked: The task.
        rows: Prompts that are generated together.
        known: Answers that are known of each item, for drafts; None for plain generation.
    """
    return _answered(asked, asked.prompts(LIMIT), rows, known)


def mixed(asked: Asked) -> list[Generated]:
    """What the installed model answers plainly, in batches of items as they come."""
    prompts = asked.prompts(LIMIT)
    parts = [prompts[start : start + ROWS] for start in range(0, len(prompts), ROWS)]
    return [answer for part in parts for answer in _answered(asked, part, ROWS, None)]


def _answered(
    asked: Asked, prompts: Sequence[Prompt], rows: int, known: Sequence[Sequence[tuple[int, ...]]] | None
) -> list[Generated]:
    scorer = BatchScorer(asked.tokenizer, Limits(asked.model.config.vocab_size, rows=rows), verify=known is not None)
    made = scorer.answer(asked.model, scorer.plan(prompts), known)
    return [answer for answer in made if isinstance(answer, Generated)]


def drafts(asked: Asked) -> list[list[tuple[int, ...]]]:
    """What each expert answers to each item."""
    known: list[list[tuple[int, ...]]] = [[] for _ in asked.items]
    for name, recipe in asked.baselines.items():
        if name.startswith("expert"):
            asked.install(recipe)
            for answers, made in zip(known, texts(asked, ROWS, known), strict=True):
                answers.append(made.ids)
    return known


def measure(asked: Asked, known: Sequence[Sequence[tuple[int, ...]]], weight: float) -> dict[str, object]:
    """Texts that differ from those of prompts that are generated alone.

    Args:
        asked: The task.
        known: Drafts of each item.
        weight: Of each expert's delta.
    """
    asked.install(asked.spec.recipe({"weight": weight}))
    alone = texts(asked, 1, None)
    ways = {
        ALIKE: texts(asked, ROWS, None),
        MIXED: mixed(asked),
        "without drafts of others": texts(asked, ROWS, [() for _ in known]),
        "with drafts of both experts": texts(asked, ROWS, known),
    }
    differ = {
        name: [one.text != other.text for one, other in zip(made, alone, strict=True)] for name, made in ways.items()
    }
    return {
        "weight": weight,
        "items": len(alone),
        "tokens": LIMIT,
        "differ": {name: sum(found) for name, found in differ.items()},
        "differ alone, batches differ alone": {
            name: {
                batches: [sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs)]
                for batches in (ALIKE, MIXED)
                if (pairs := list(zip(found, differ[batches], strict=True)))
            }
            for name, found in differ.items()
            if name not in (ALIKE, MIXED)
        },
    }


def points(measured: Sequence[dict[str, Any]]) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Points by which more texts differ than between batch sizes, with 95 % intervals paired by item.

    Args:
        measured: As :func:`measure` gives them, with their number type; those of one type are pooled.

    Returns:
        By number type, way and kind of batches: the mean, and the ends of its interval.
    """
    counts: dict[tuple[str, str, str], np.ndarray] = {}
    for one in measured:
        for name, kinds in one["differ alone, batches differ alone"].items():
            for batches, pair in kinds.items():
                own, cell = np.array([one["items"], *pair], dtype=np.float64), (one["dtype"], name, batches)
                counts[cell] = counts.get(cell, np.zeros(3)) + own
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    for (dtype, name, batches), (items, alone, others) in counts.items():
        mean = (alone - others) / items
        half = 1.96 * np.sqrt((alone + others) / items - mean**2) / np.sqrt(items)
        interval = [round(100 * float(value), 1) for value in (mean, mean - half, mean + half)]
        found.setdefault(dtype, {}).setdefault(name, {})[batches] = interval
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=DEFAULT_WORK)
    parser.add_argument("--work", type=Path, default=Path("experiments/generation/work"))
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--weights", type=float, nargs="+", default=WEIGHTS, help="of each expert's delta")
    parser.add_argument("--dtypes", nargs="+", default=["bfloat16", "float32"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    RESULTS.mkdir(parents=True, exist_ok=True)
    file = RESULTS / "rounding.json"
    found = json.loads(file.read_text())["measured"] if file.exists() else []
    for dtype in arguments.dtypes:
        left = [one for one in arguments.weights if (dtype, one) not in [(at["dtype"], at["weight"]) for at in found]]
        if not left:
            continue
        asked = Asked("chat", arguments.models, dtype, arguments.items, arguments.work, SPLITS)
        known = drafts(asked)
        for weight in left:
            found.append({"dtype": dtype} | measure(asked, known, weight))
            about = machine("torch", "transformers")
            file.write_text(_text(about, found), encoding="utf-8")
            print(found[-1], flush=True)


def _text(about: dict[str, Any], found: Sequence[dict[str, Any]]) -> str:
    kept = {"machine": about, "measured": found, "points more than between batch sizes": points(found)}
    return json.dumps(kept, indent=1) + "\n"


if __name__ == "__main__":
    main()
