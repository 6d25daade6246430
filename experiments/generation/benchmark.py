"""Seconds, passes and tokens per candidate of generation tasks: stock lm-eval, and evomerge without and with drafts.

Run from the repository root, after ``experiments.smollm2.prepare`` and ``finetune`` for both skills:

    python -m experiments.generation.benchmark --record
    python -m experiments.generation.benchmark --tasks worked,short,short_5shot,chat --dtype bfloat16

The first command records the search whose candidates make the population. Drafts of a candidate are the answers of the
baselines and of the first 1, 10 or 50 candidates; the candidates after these are measured in every way, one after the
other in one process, so that ratios mean something on a noisy machine. Each measured candidate is a line in the file of
figures; a repeated command goes on with what is missing.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
import transformers

from evomerge.evaluation import Drafts, Response
from evomerge.recipe import Recipe
from experiments import json_lines
from experiments.generation import page, population
from experiments.generation.population import drafts_of
from experiments.generation.ways import TASKS, Asked, Measured
from experiments.machine import machine
from experiments.smollm2.prepare import DEFAULT_WORK

AFTER = (1, 10, 50)
PROBES = 4
ITEMS = 24
RESULTS = Path("results/generation")


def ids_of(responses: Sequence[Response]) -> dict[str, list[int]]:
    """Token ids of answers by item."""
    return {response.item: list(response.ids[0]) for response in responses}


class Bench:
    """A task in a number type, with a population.

    Args:
        asked: The task.
        name: Of the population.
        recipes: Its candidates.
        file: Where their answers are kept.
    """

    def __init__(self, asked: Asked, name: str, recipes: Sequence[Recipe], file: Path) -> None:
        self.asked, self.recipes, self.name = asked, recipes, name
        self._order = [*asked.baselines.values(), *recipes]
        self._file, self._answers = file, [line["ids"] for line in json_lines.read(file)]

    def drafts(self, after: int) -> Drafts:
        """Drafts after some candidates, whose answers are found out where they are not known."""
        wanted = len(self._order) - len(self.recipes) + after
        while len(self._answers) < wanted:
            self.asked.install(self._order[len(self._answers)])
            _, responses = self.asked.ours(drafts_of(self._answers))
            self._answers.append(ids_of(responses))
            json_lines.append(self._file, {"ids": self._answers[-1]})
        return drafts_of(self._answers[:wanted])

    def measure(self, after: int, candidate: int, continuous: bool) -> dict[str, Any]:
        """One candidate in every way.

        Args:
            after: How many candidates' answers are drafts.
            candidate: Its place in the population, from 0.
            continuous: Whether continuous batching is one of the ways.
        """
        drafts = self.drafts(after)
        self.asked.install(self.recipes[candidate])
        off, responses = self.asked.ours(off=True)
        stock, rows = self.asked.stock()
        ways = {"stock": stock, "off": off, "none": self.asked.ours()[0], "drafts": self.asked.ours(drafts)[0]}
        lengths = [len(response.ids[0]) for response in responses]
        if continuous:
            ways["continuous"] = self.asked.continuous(lengths)
        least, whole = self.asked.least(lengths)
        scores = [float(response.metrics[self.asked.metric]) for response in responses]
        return {
            "population": self.name,
            "after": after,
            "candidate": candidate,
            "items": len(responses),
            "score": sum(scores) / len(scores),
            "answer_tokens": sum(lengths),
            "truncated": sum(response.truncated for response in responses),
            "least_tokens": least,
            "whole_tokens": whole,
            "batch_size": rows,
            "ways": {way: _line(measured, stock) for way, measured in ways.items()},
        }


def _line(measured: Measured, stock: Measured) -> dict[str, Any]:
    """The figures of a way; of its texts, the share that differ from stock's."""
    figures = asdict(measured)
    pairs = list(zip(figures.pop("texts"), stock.texts, strict=True))
    return figures | {"differ": sum(a != b for a, b in pairs) / len(pairs)}


def record(arguments: argparse.Namespace) -> None:
    """Searches on the worked answers, until there are as many candidates as measured ones need."""
    asked = Asked("worked", arguments.models, "bfloat16", arguments.items, arguments.work)
    answers: list[dict[str, list[int]]] = []

    def score(recipe: Recipe) -> float:
        asked.install(recipe)
        _, responses = asked.ours(drafts_of(answers))
        answers.append(ids_of(responses))
        found = sum(float(response.metrics[asked.metric]) for response in responses) / len(responses)
        print(f"candidate {len(answers)}: {found:.3f}", flush=True)
        return found

    found = population.search(asked, arguments.out / "search.jsonl", score)
    for _ in range(max(arguments.after) + arguments.probes):
        next(found)


def run(arguments: argparse.Namespace) -> None:
    """Measures what is missing."""
    figures = arguments.out / "figures.jsonl"
    about = machine("torch", "transformers", "lm-eval") | {"threads": 1, "device": "cpu"}
    if torch.cuda.is_available():
        about["device"] = torch.cuda.get_device_name()
    for task in arguments.tasks:
        asked = Asked(task, arguments.models, arguments.dtype, arguments.items, arguments.work)
        count = max(arguments.after) + arguments.probes
        recipes = population.read(asked, arguments.population, arguments.out / "search.jsonl", count)
        cell = {"task": task, "dtype": arguments.dtype}
        name = "-".join(("answers", task, arguments.dtype, arguments.population, str(arguments.items)))
        bench = Bench(asked, arguments.population, recipes, arguments.work / f"{name}.jsonl")
        for after in arguments.after:
            for probe in range(arguments.probes):
                key = {**cell, "population": arguments.population, "after": after, "candidate": after + probe}
                if any(key.items() <= line.items() for line in json_lines.read(figures)):
                    continue
                line = bench.measure(after, after + probe, arguments.continuous and probe == 0)
                json_lines.append(figures, cell | line | {"machine": about})
                page.write(figures)
                print(page.told(cell | line), flush=True)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=DEFAULT_WORK, help="folder of base, expert_money, expert_rates")
    parser.add_argument("--work", type=Path, default=Path("experiments/generation/work"), help="folder for answers")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the figures")
    parser.add_argument("--record", action="store_true", help="record the search, and measure nothing")
    parser.add_argument("--tasks", type=lambda text: text.split(","), default=list(TASKS))
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float32"))
    parser.add_argument("--population", default="search", choices=population.POPULATIONS)
    parser.add_argument("--after", type=lambda text: [int(n) for n in text.split(",")], default=list(AFTER))
    parser.add_argument("--probes", type=int, default=PROBES, help="measured candidates for each number of drafts")
    parser.add_argument("--items", type=int, default=ITEMS)
    parser.add_argument("--continuous", action="store_true", help="also transformers' continuous batching, once each")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("lm_eval").setLevel(logging.ERROR)  # it warns of every model that is given as an object
    for folder in (arguments.work, arguments.out):
        folder.mkdir(parents=True, exist_ok=True)
    if arguments.record:
        record(arguments)
    else:
        run(arguments)


if __name__ == "__main__":
    main()
