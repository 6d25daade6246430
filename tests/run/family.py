"""Whole runs of the program on a tiny real family of models and real local tasks."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from evomerge.cli.main import main
from evomerge.store import RunStore
from tests.building import perturbed, tiny_dense, tiny_llama

ROOT = Path(__file__).parents[2]
HOSTILE = '''
import random

import numpy
import torch


def question(doc):
    return doc["question"]


def judge(doc, results):
    """Reseeds every global generator on each item, as evaluators of the field do."""
    random.seed(0)
    numpy.random.seed(1234)
    torch.manual_seed(1234)
    best = max(range(len(results)), key=lambda k: results[k][0])
    return {"acc": float(best == doc["answer"])}
'''


@dataclass(frozen=True)
class Family:
    """A base, two experts and two tasks, and the words that name them on a command line."""

    folder: Path

    def words(self, run: Path | str | None, **changes: Any) -> list[str]:
        """A small search; ``None`` leaves a word out."""
        values: dict[str, Any] = {
            "models": f"[{self.folder / 'one'},{self.folder / 'two'}]",
            "base": self.folder / "base",
            "method": "task_arithmetic",
            "tasks": "[first,second]",
            "task_path": self.folder / "tasks",
            "evaluations": 12,
            "items_per_task": 12,
            "test_items_per_task": 12,
            "searcher": "nsga2",
            "searcher.population": 6,
            "model.threads": 1,
            "progress": "none",
            "run_dir": run,
        }
        values |= {name.replace("__", "."): value for name, value in changes.items()}
        return [f"{name}={value}" for name, value in values.items() if value is not None]

    def search(self, run: Path | str, **changes: Any) -> int:
        """Runs the small search in this process; its exit code."""
        return main(["search", *self.words(run, **changes)])


def write_family(folder: Path, hidden: int = 16, model_type: str = "llama") -> Family:
    """Writes a base, two experts and two tasks; the width is for Llamas."""
    if model_type == "llama":
        tiny_llama(folder / "base", 0, hidden=hidden)
    else:
        tiny_dense(model_type, folder / "base", dtype=torch.bfloat16)
    for seed, name in enumerate(("one", "two"), start=1):
        perturbed(folder / "base", folder / name, seed, 0.1)
    (folder / "tasks").mkdir()
    write_task(folder / "tasks", "first", 10)
    write_task(folder / "tasks", "second", 11)
    return Family(folder)


def write_task(folder: Path, name: str, seed: int, items: int = 80, hostile: bool = False) -> None:
    """Writes a multiple-choice task with answers that a random model gets right by chance."""
    draw = random.Random(seed)
    rows = [
        {
            "question": "".join(draw.choices("abcdefgh", k=6)),
            "options": ["".join(draw.choices("stuvw", k=2 + k)) for k in range(3)],
            "answer": draw.randrange(3),
        }
        for _ in range(items)
    ]
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = [
        f"task: {name}",
        "dataset_path: json",
        f"dataset_kwargs: {{data_files: {{test: {name}.jsonl}}}}",
        "test_split: test",
        "output_type: multiple_choice",
        "doc_to_text: !function judge.question" if hostile else "doc_to_text: '{{question}}'",
        "doc_to_choice: options",
        "doc_to_target: answer",
        "metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]",
    ]
    if hostile:
        lines.append("process_results: !function judge.judge")
        (folder / "judge.py").write_text(HOSTILE)
    (folder / f"{name}.yaml").write_text("\n".join(lines) + "\n")


def records(run: Path) -> list[dict[str, Any]]:
    """The folded evaluations."""
    return [json.loads(line) for line in (run / "evaluations.jsonl").read_text().splitlines()]


def answers(run: Path) -> dict[tuple[str, str], list[Any]]:
    """All responses by (digest, split)."""
    store = RunStore.read(run)
    return {(e.digest, e.split): [r.to_json() for r in store.responses(e)] for e in store.evaluations()}


def start(words: Sequence[str], **options: Any) -> subprocess.Popen[str]:
    """Starts the program as a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **options.pop("env", {})}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen([sys.executable, "-m", "evomerge", *words], env=environment, **pipes)
