"""Merging and scoring seconds of two checkouts, measured by turns through the same searches.

Run from the repository root: ``python -m experiments.regression.study --before FOLDER --models FOLDER --out PREFIX``
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from experiments.machine import machine
from experiments.merge_speed.models import generate

EXPERTS = ("one", "two", "three")
WORDS = ("river", "lamp", "stone", "garden", "letter", "window", "morning", "bottle", "silver", "button", "candle")
CASES: dict[str, dict[str, Any]] = {
    "merge linear": {"method": "linear", "task": "choice", "items": 2},
    "merge ties": {"method": "ties", "task": "choice", "items": 2},
    "merge dare_ties": {"method": "dare_ties", "task": "choice", "items": 2},
    "score four options": {"method": "task_arithmetic", "task": "choice", "items": 20},
    "score after five examples": {"method": "task_arithmetic", "task": "choice", "items": 20, "fewshot": 5},
    "score generation": {"method": "task_arithmetic", "task": "generation", "items": 4},
}


def write_questions(folder: Path) -> None:
    """Writes ``choice.jsonl`` and ``generation.jsonl``: seeded questions of about thirty words."""
    draw = random.Random(0)
    choice, generation = [], []
    for number in range(200):
        words = [draw.choice(WORDS) for _ in range(30)]
        options = [" ".join(draw.choice(WORDS) for _ in range(5)) for _ in range(4)]
        choice.append({"q": f"{number}: " + " ".join(words), "o": options, "a": number % 4})
        generation.append({"q": f"{number}: " + " ".join(words), "a": words[0]})
    for name, rows in (("choice", choice), ("generation", generation)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def words_of(case: dict[str, Any], questions: Path, models: Path, run: Path, candidates: int) -> list[str]:
    """The command line after ``evomerge`` of one case."""
    data = questions / f"{case['task']}.jsonl"
    task = f'{{task: {case["task"]}, data: "{data}", question: "{{{{q}}}}", answer: "{{{{a}}}}"'
    task += ', choices: "{{o}}"}' if case["task"] == "choice" else ", max_gen_toks: 12}"
    metric = "acc" if case["task"] == "choice" else "exact_match"
    return [
        "search", f"models=[{','.join(str(models / name) for name in EXPERTS)}]", f"base={models / 'base'}",
        f"method={case['method']}", f"tasks=[{task}]", f"objectives=[{case['task']}.{metric}]", "searcher=random",
        f"evaluations={candidates}", f"items_per_task={case['items']}", "confirm.finalists=0", "model.threads=1",
        "model.dtype=float32", "fitness.prefixes=shared", f"fitness.num_fewshot={case.get('fewshot', 0)}",
        f"run_dir={run}",
    ]  # fmt: skip


def measure(checkout: Path, words: list[str], run: Path) -> dict[str, float]:
    """Runs one search with the code of a checkout.

    Args:
        checkout: Its root.
        words: The command line after ``evomerge``.
        run: The run's folder.

    Returns:
        Median seconds of a candidate's ``merge`` and ``score``, and of the ``whole`` process.

    Raises:
        SystemExit: If the search fails; the message is its own last words.
    """
    # From the checkout's root, so that no installed copy comes before it; one thread, as the cases ask for.
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    start = time.perf_counter()
    command = [sys.executable, "-m", "evomerge", *words]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{checkout}: {' '.join(done.stderr.splitlines()[-3:])}")
    whole = time.perf_counter() - start
    lines = [line for file in (run / "records").glob("*.jsonl") for line in file.read_text().splitlines()]
    # Format 1 kept seconds beside the scores, format 2 keeps them under where and how an evaluation was made.
    found = [record.get("provenance", record)["seconds"] for record in map(json.loads, lines)]
    seconds = [entry for entry in found if entry.get("score")]
    # The first candidate reads the files and prepares; baselines have other methods and come first.
    kept = seconds[len(EXPERTS) + 3 :]
    return {what: median(entry[what] for entry in kept) for what in ("merge", "score")} | {"whole": whole}


def page(data: dict[str, Any]) -> str:
    """The committed table."""
    about = data["machine"]
    lines = [
        "# Merging and scoring, before and after",
        "",
        f"{about['cpu']}, {about['date']}, one thread, three experts; " + json.dumps(about["versions"])[1:-1],
        "",
        f"Before: {data['before']}. Seconds of a candidate (median of a run, then of the rounds), and the ratio "
        "of after to before, round by round.",
        "",
        "| case | before | after | ratio | rounds |",
        "|---|---|---|---|---|",
    ]
    for name, rounds in data["cases"].items():
        if not rounds:
            lines.append(f"| {name} | not measured yet | | | |")
            continue
        what = "merge" if name.startswith("merge") else "score"
        before, after = ([entry[side][what] for entry in rounds] for side in ("before", "after"))
        ratios = [b / a for a, b in zip(before, after, strict=True)]
        shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        lines.append(f"| {name} | {median(before):.3f} | {median(after):.3f} | {median(ratios):.2f} | {shown} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures the rounds that are missing and writes ``PREFIX.json`` and ``PREFIX.md``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="root of the other checkout")
    parser.add_argument("--models", type=Path, required=True, help="folder of base, one, two, three")
    parser.add_argument("--out", type=Path, required=True, help="PREFIX of the two files written")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--candidates", type=int, default=12)
    told = parser.parse_args()
    before, after = told.before.resolve(), Path.cwd()
    generate("135m", told.models)
    commit = ["git", "-C", str(before), "rev-parse", "--short", "HEAD"]
    path = told.out.with_suffix(".json")
    fresh = {
        "machine": machine("torch", "transformers", "numpy"),
        "before": subprocess.run(commit, capture_output=True, text=True, check=True).stdout.strip(),
        "cases": {name: [] for name in CASES},
    }
    data = json.loads(path.read_text(encoding="utf-8")) if path.exists() else fresh
    path.parent.mkdir(parents=True, exist_ok=True)
    for number in range(told.rounds):
        for name, case in CASES.items():
            if len(data["cases"][name]) > number:
                continue
            found: dict[str, dict[str, float]] = {}
            sides = [("before", before), ("after", after)]
            for side, checkout in sides if number % 2 == 0 else sides[::-1]:
                with tempfile.TemporaryDirectory() as folder:
                    write_questions(Path(folder))
                    run = Path(folder) / "run"
                    words = words_of(case, Path(folder), told.models.resolve(), run, told.candidates)
                    found[side] = measure(checkout, words, run)
            data["cases"][name].append(found)
            path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
            told.out.with_suffix(".md").write_text(page(data), encoding="utf-8")
            print(f"round {number + 1}, {name}: {found}", flush=True)


if __name__ == "__main__":
    main()
