"""Seconds of one whole candidate: merging and scoring, beside mergekit, a model folder and stock lm-eval.

DARE-TIES of three experts of 135 million weights, asked 20 questions of four options. Ours is what a worker of a search
does for every candidate: merge into its live model, score. Beside it: `mergekit-yaml` to a folder, then lm-eval on that
folder, on the same questions; programs and libraries already started and imported where that is what is timed.

Run from the repository root: ``python -m experiments.candidate.study --mergekit PYTHON``
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import yaml
from transformers import AutoTokenizer

from experiments.machine import machine
from experiments.merge_speed.models import generate
from experiments.scoring.tasks import Case, single_tokens, write

QUESTIONS = 20
QUESTION = Case("choice", context=30, options=4, answer=5)
QUIZ = "choice_30_4_5_none"
# Lm-eval as it is, in a process of its own: seconds of loading the folder and of scoring, imports aside.
STOCK = """
import json, sys, time
import torch
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

folder, tasks, quiz, samples, dtype, threads = json.loads(sys.argv[1])
torch.set_num_threads(threads)
start = time.perf_counter()
model = HFLM(pretrained=folder, dtype=dtype, device="cpu", batch_size=8)
loaded = time.perf_counter()
found = simple_evaluate(model, tasks=[quiz], task_manager=TaskManager(include_path=tasks), samples={quiz: samples},
                        bootstrap_iters=0, log_samples=True)
done = time.perf_counter()
answers = [[r[0] for r in s["filtered_resps"]] for s in sorted(found["samples"][quiz], key=lambda s: s["doc_id"])]
print(json.dumps({"load": loaded - start, "score": done - loaded, "answers": answers}))
"""


def ours(models: list[Path], tasks: Path, threads: int, repeats: int, run: Path) -> dict[str, Any]:
    """Times candidates in a worker as a search has them; every one of them changes every tensor."""
    from evomerge.config import compose
    from evomerge.run import environment

    base, *experts = models
    words = [
        f"models=[{','.join(map(str, experts))}]", f"base={base}", "method=dare_ties", f"tasks=[{QUIZ}]",
        f"task_path={tasks}", f"items_per_task={QUESTIONS}", "evaluations=8", "genome=layer", f"run_dir={run}",
        f"model.threads={threads}",
    ]  # fmt: skip
    config = compose.search(words)
    environment.prepare(offline=True)
    from evomerge.candidate import Worker, device_info
    from evomerge.evaluation import Ask, Job
    from evomerge.run import search

    prepared = search.prepare(config)
    suite, spec = prepared.assembly.suite, prepared.assembly.spec
    worker = Worker(prepared.settings, suite)
    items = {task: tuple(ids) for task, ids in suite.items["search"].items()}
    draw = np.random.default_rng(0)
    seconds: list[dict[str, float]] = []
    for _ in range(repeats + 1):
        recipe = spec.decode(draw.random(spec.n_var))
        start = time.perf_counter()
        outcome = worker(Job.of(recipe, items, Ask("search", 1, 0)))
        whole = time.perf_counter() - start
        if outcome.error is not None:
            raise RuntimeError(outcome.error.message)
        seconds.append({**outcome.seconds, "whole": whole})
    shown = [suite.describe(item)["question"] for item in items[QUIZ]]
    device = device_info(prepared.settings.device)["name"] if prepared.settings.device != "cpu" else "cpu"
    return {
        "seconds": seconds, "questions": shown, "dtype": prepared.settings.dtype, "device": device, "recipe": recipe,
    }  # fmt: skip


def theirs(
    python: Path, found: dict[str, Any], quiz: list[dict[str, Any]], tasks: Path, threads: int
) -> dict[str, Any]:
    """Times mergekit to a folder and lm-eval on it, for the same method and the same questions."""
    from evomerge.merging import Checkpoints, mergekit_config
    from evomerge.recipe import Group, ParameterGroups

    recipe = found["recipe"]
    flat = replace(
        recipe,
        options={**recipe.options, "rescale": "l1"},  # mergekit rescales to equal sums, not by the density
        groups=ParameterGroups((Group("all"),)),
        coefficients={name: array[:1] for name, array in recipe.coefficients.items()},
    )
    config = mergekit_config(flat, Checkpoints.open(flat).merged_names)
    asked = [next(i for i, row in enumerate(quiz) if row["text"] in shown) for shown in found["questions"]]
    program = str(python.absolute().parent / "mergekit-yaml")
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder) / "config.yml", Path(folder) / "merged"
        file.write_text(yaml.safe_dump(config))

        def run(*words: str) -> float:
            start = time.perf_counter()
            subprocess.run([program, *words], check=True, capture_output=True, env=environment)
            return time.perf_counter() - start

        starting = min(run("--help") for _ in range(2))
        merge = run(str(file), str(out), "--no-copy-tokenizer", "--quiet", "-j", str(threads))
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(Path(recipe.base.source) / name, out / name)
        said = json.dumps([str(out), str(tasks), QUIZ, sorted(asked), found["dtype"], threads])
        done = subprocess.run(
            [sys.executable, "-c", STOCK, said], check=True, capture_output=True, text=True, env=environment
        )
        stock = json.loads(done.stdout.splitlines()[-1])
    return {"merge": merge, "starting": starting, "load": stock["load"], "score": stock["score"]}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, help="a folder with base, one, two, three; generated if there is none")
    parser.add_argument("--mergekit", type=Path, help="the Python of an environment with mergekit")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("results/candidate"))
    arguments = parser.parse_args()
    root = arguments.models or Path(tempfile.gettempdir()) / "evomerge-merge-speed-135m"
    models = list(generate("135m", root))
    if not (models[0] / "tokenizer.json").exists():
        parser.error(f"{models[0]} has no tokenizer; copy that of SmolLM2-135M there")
    with tempfile.TemporaryDirectory() as folder:
        tasks = Path(folder) / "tasks"
        tasks.mkdir()
        words = single_tokens(AutoTokenizer.from_pretrained(models[0]), 2000)
        assert write(QUESTION, tasks, words, 3 * QUESTIONS) == QUIZ
        quiz = [json.loads(line) for line in (tasks / f"{QUIZ}.jsonl").read_text(encoding="utf-8").splitlines()]
        own = ours(models, tasks, arguments.threads, arguments.repeats, Path(folder) / "run")
        beside = theirs(arguments.mergekit, own, quiz, tasks, arguments.threads) if arguments.mergekit else None
    write_page(own, beside, arguments)


def write_page(own: dict[str, Any], beside: dict[str, Any] | None, arguments: argparse.Namespace) -> None:
    """Writes the figures as JSON and as a page."""
    run = machine("torch", "transformers", "lm-eval")
    later = own["seconds"][1:]
    merge, score, whole = (median(each[name] for each in later) for name in ("merge", "score", "whole"))
    lines = [
        "# Seconds of a whole candidate",
        "",
        f"DARE-TIES of three bfloat16 experts of 135 M weights, {QUESTIONS} questions of 30 tokens with "
        f"four options of 5, {arguments.threads} threads of {run['cpu']}, models run in {own['dtype']}"
        f"{'' if own['device'] == 'cpu' else ' on ' + own['device']}; "
        f"torch {run['versions']['torch']}; {run['date']}.",
        "",
        "| | merge, s | load, s | score, s | whole, s |",
        "|---|---|---|---|---|",
        f"| evomerge, in the live model | {merge:.3f} | 0 | {score:.3f} | {whole:.3f} |",
    ]
    if beside is not None:
        work = beside["merge"] - beside["starting"]
        total = work + beside["load"] + beside["score"]
        lines.append(
            f"| mergekit to a folder (its start of {beside['starting']:.1f} s left out), lm-eval on it | {work:.1f} | "
            f"{beside['load']:.1f} | {beside['score']:.1f} | {total:.1f} |"
        )
        lines += ["", f"{total / whole:.0f} times as long. The first candidate of a worker took ours "
                  f"{own['seconds'][0]['whole']:.2f} s."]  # fmt: skip
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "candidate.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    figures = {
        "machine": run,
        "ours": own["seconds"],
        "dtype": own["dtype"],
        "device": own["device"],
        "theirs": beside,
        "threads": arguments.threads,
    }
    (arguments.out / "candidate.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
