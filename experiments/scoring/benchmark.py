"""Seconds and forward tokens per candidate: evomerge's scoring beside lm-eval's own Hugging Face model.

Run from the repository root: ``python -m experiments.scoring.benchmark --model FOLDER --out results/scoring/NAME``

Both score the same items with the same model in one process, one after the other, so that ratios mean something on a
noisy machine. lm-eval gets every advantage: its tasks are built beforehand, its softmax is in the model's number type,
its fastest batch size of those tried is taken, and computing metrics is not counted. For evomerge everything is
counted that a candidate needs beside its merge.

``--model random:1B`` makes a random Llama of that size with the tokenizer of ``--tokenizer``. Each case is written to
the JSON file as it is done; a repeated command goes on with what is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import torch
import transformers

from evomerge.fitness import FitnessSettings, Scorer, TaskSuite
from evomerge.fitness.inference.batches import BatchPlan
from evomerge.fitness.inference.prefix_tree import build
from experiments.counting import counted
from experiments.machine import machine
from experiments.scoring.tasks import Case, single_tokens, write

REPEATS = 3
BATCH_SIZES = {"none": (16, 64), "fixed": (4, 16), "drawn": (4, 16)}
CASES = [
    *(
        Case("choice", 30, n, length, shots)
        for shots in ("none", "fixed", "drawn")
        for n in (2, 4, 6)
        for length in (1, 5, 20)
    ),
    Case("rolling", 400, 1, 1),
    Case("generate", 30, 1, 32),
    Case("generate", 30, 1, 32, "fixed"),
]
SHORT = [c for c in CASES if c.kind != "choice" or (c.options, c.answer) == (4, 5)]


def random_llama(billions: float) -> Any:
    """A random Llama of about so many billion parameters in bfloat16, with the vocabulary of SmolLM2."""
    layers = max(1, round(18 * billions))
    config = transformers.LlamaConfig(
        vocab_size=49152,
        hidden_size=2048,
        intermediate_size=5632,
        num_hidden_layers=layers,
        num_attention_heads=32,
        num_key_value_heads=8,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    torch.manual_seed(0)
    return transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)


def timed(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """The fewest seconds of several, and what came: whatever else a machine does only adds to them."""
    seconds, made = [], None
    for _ in range(repeats):
        start = time.perf_counter()
        made = work()
        seconds.append(time.perf_counter() - start)
    return min(seconds), made


class Bench:
    """One model, asked by both.

    Args:
        model: A causal language model.
        tokenizer: Its tokenizer.
        folder: Where tasks are written.
        questions: Items per task.
        repeats: How often each measurement is repeated.
    """

    def __init__(self, model: Any, tokenizer: Any, folder: Path, questions: int, repeats: int) -> None:
        self.model, self.tokenizer, self.folder = model, tokenizer, folder
        self.questions, self.repeats = questions, repeats
        self.words = single_tokens(tokenizer, 2000)

    def measure(self, case: Case) -> dict[str, Any]:
        """Both on one case."""
        questions = max(2, self.questions // 4) if case.kind == "rolling" else self.questions
        name = write(case, self.folder, self.words, questions)
        ours, our_answers = self._ours(name)
        theirs, their_answers = self._theirs(name, case)
        return {
            "case": case.name,
            "items": questions,
            "ours": ours,
            "stock": theirs,
            "speedup": theirs["seconds"] / ours["seconds"],
            "difference": _difference(our_answers, their_answers),
        }

    def _ours(self, name: str) -> tuple[dict[str, Any], list[Any]]:
        settings = FitnessSettings(
            tasks=(name,), task_path=(str(self.folder),), splits={"search": 1.0, "selection": 0.0, "test": 0.0}
        )
        suite = TaskSuite.build(settings, self.tokenizer, config=self.model.config)
        scorer = Scorer.of(self.model, suite)
        with counted(self.model) as count:
            scorer.score(self.model, "search")  # lays requests out, which a run does once
        seconds, responses = timed(lambda: scorer.score(self.model, "search"), self.repeats)
        plan = scorer.plan("search")
        answers = [value for response in responses for value in (response.logprobs or response.texts)]
        least = plan.least_tokens or self._least(plan, answers)
        return {
            "seconds": seconds,
            "tokens": count.tokens,
            "least_tokens": least,
            "shared": scorer.sharing.share,
        }, answers

    def _least(self, plan: BatchPlan, texts: list[str]) -> int:
        """For generation: every token that prompts begin with once, and each generated token but the last once."""
        prompts = sorted(prompt.tokens.tobytes() for batch in plan.prompts for prompt in batch.prompts)
        sequences = [np.frombuffer(prompt, dtype=np.int32) for prompt in dict.fromkeys(prompts)]
        root, _ = build(sequences, [1] * len(sequences), sys.maxsize, sys.maxsize)
        return root.total + sum(max(0, len(self.tokenizer.encode(text)) - 1) for text in texts)

    def _theirs(self, name: str, case: Case) -> tuple[dict[str, Any], list[Any]]:
        from lm_eval.models.huggingface import HFLM
        from lm_eval.tasks import TaskManager

        task = TaskManager(include_path=str(self.folder), include_defaults=False).load([name])["tasks"][name]
        task.set_fewshot_seed(1234)
        task.build_all_requests(limit=None, rank=0, world_size=1)
        kind = {"choice": "loglikelihood", "rolling": "loglikelihood_rolling", "generate": "generate_until"}[case.kind]
        best: dict[str, Any] = {}
        for batch_size in BATCH_SIZES[case.examples]:
            lm = HFLM(pretrained=self.model, tokenizer=self.tokenizer, batch_size=batch_size)
            ask = getattr(lm, kind)
            with counted(self.model) as count:
                seconds, answers = timed(lambda ask=ask: ask(task.instances, disable_tqdm=True), 1)
            if not best or seconds < best["seconds"]:
                best = {"seconds": seconds, "tokens": count.tokens, "batch_size": batch_size, "ask": ask}
        ask = best.pop("ask")
        seconds, answers = timed(lambda: ask(task.instances, disable_tqdm=True), max(1, self.repeats - 1))
        best["seconds"] = min(seconds, best["seconds"])
        order = sorted(range(len(answers)), key=lambda i: (task.instances[i].doc_id, task.instances[i].idx))
        return best, [answers[i][0] if case.kind == "choice" else answers[i] for i in order]


def _difference(ours: list[Any], theirs: list[Any]) -> float:
    """Largest difference of log-likelihoods; for texts, the share that differ."""
    if ours and isinstance(ours[0], str):
        return sum(a.strip() != str(b).strip() for a, b in zip(ours, theirs, strict=True)) / len(ours)
    values = [value if isinstance(value, float) else value[0] for value in theirs]
    return max(abs(a - b) for a, b in zip(ours, values, strict=True))


def about(model: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    """What the figures were taken on."""
    return machine("torch", "transformers", "lm-eval", "numpy") | {
        "threads": torch.get_num_threads(),
        "device": str(next(model.parameters()).device),
        "dtype": str(next(model.parameters()).dtype).removeprefix("torch."),
        "model": Path(arguments.model).name,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "questions": arguments.questions,
        "repeats": arguments.repeats,
    }


def table(results: dict[str, Any]) -> str:
    """The results for people."""
    run = results["machine"]
    lines = [
        f"# Scoring: {run['model']}, {run['dtype']}",
        "",
        f"{run['parameters'] / 1e6:.0f} M parameters, {run['questions']} questions per task, {run['cpu']}, "
        f"{run['threads']} threads, {run['device']}; torch {run['versions']['torch']}, transformers "
        f"{run['versions']['transformers']}, lm-eval {run['versions']['lm-eval']}; {run['date']}. "
        f"The fewest seconds of {run['repeats']}. Written by `experiments/scoring/benchmark.py`.",
        "",
        "| task | items | tokens: least | ours | stock | ours / least | seconds: ours | stock "
        "| speed-up | difference |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    done = results["cases"]
    for row in (done[case.name] for case in CASES if case.name in done):
        ours, stock = row["ours"], row["stock"]
        least = ours["least_tokens"]
        ratio = f"{ours['tokens'] / least:.2f}" if least else ""
        lines.append(
            f"| {row['case']} | {row['items']} | {least or ''} | {ours['tokens']} | {stock['tokens']} | {ratio} "
            f"| {ours['seconds']:.2f} | {stock['seconds']:.2f} | {row['speedup']:.1f} | {row['difference']:.2g} |"
        )
    note = (
        "Tokens go through the model once per candidate, padding included; least is every shared beginning once. "
        "Difference: largest between log-likelihoods, in nats; of generated texts, the share that differ."
    )
    return "\n".join([*lines, "", note, ""])


def main() -> None:
    """Reads the command line, measures what is missing, writes JSON and a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a folder, or random:SIZE as in random:1B")
    parser.add_argument("--tokenizer", help="a folder; default: the model's")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--questions", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--short", action="store_true", help="choices of 4 options of 5 tokens only")
    parser.add_argument("--out", type=Path, required=True, help="path without ending; .json and .md are added")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    transformers.utils.logging.disable_progress_bar()
    if arguments.model.startswith("random:"):
        model = random_llama(float(arguments.model.removeprefix("random:").removesuffix("B")))
        model = model.to(getattr(torch, arguments.dtype))
    else:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            arguments.model, dtype=getattr(torch, arguments.dtype), local_files_only=True
        )
    model = model.eval().requires_grad_(False).to(arguments.device)
    tokenizer = transformers.AutoTokenizer.from_pretrained(arguments.tokenizer or arguments.model)
    place, page = (Path(f"{arguments.out}{ending}") for ending in (".json", ".md"))
    results = json.loads(place.read_text()) if place.exists() else {"machine": about(model, arguments), "cases": {}}
    cases = SHORT if arguments.short else CASES
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(model, tokenizer, Path(folder), arguments.questions, arguments.repeats)
        for number, case in enumerate(cases):
            if case.name in results["cases"]:
                continue
            row = bench.measure(case)
            results["cases"][case.name] = row
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
            page.write_text(table(results), encoding="utf-8")
            print(
                f"{number + 1}/{len(cases)} {case.name}: {row['speedup']:.1f} times as fast",
                file=sys.stderr,
                flush=True,
            )
    page.write_text(table(results), encoding="utf-8")
    print(table(results))


if __name__ == "__main__":
    main()
