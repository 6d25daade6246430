"""A search for correct and short worked answers that would take stock lm-eval most of a day, run with drafts.

NSGA-II over two experts of SmolLM2-135M with two objectives, accuracy and tokens of an answer; a process a core. When
it is through, candidates at even distances of it are asked by stock lm-eval and by evomerge with the drafts that a
search would have had, so that both answer what this search asked, in one process.

    python -m experiments.generation.long [--models FOLDER] [--work FOLDER] [--evaluations 1120] [--workers 2]

A repeated command goes on where it stopped; ``--page`` writes the page again. Seconds are the processor's, of all
processes of the search, from their start to the report.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import psutil
import torch

from evomerge.config import compose
from evomerge.evaluation import Evaluation
from evomerge.recipe import Recipe
from evomerge.run import search
from evomerge.search.progress import Progress
from evomerge.store import RunStore
from experiments import json_lines
from experiments.generation.population import drafts_of
from experiments.generation.ways import Asked, words
from experiments.machine import machine
from experiments.smollm2.prepare import DEFAULT_WORK

ITEMS = 24
DTYPE = "bfloat16"
METRICS = ("generation_worked.exact_match,strict-match", "generation_worked.tokens")
PROBES = 5
RESULTS = Path("results/generation")


def run(arguments: argparse.Namespace) -> Path:
    """Runs the search, or goes on with it.

    Returns:
        Its folder.
    """
    folder = arguments.work / "long"
    told = [
        *words("worked", arguments.models, DTYPE, ITEMS),
        "searcher=nsga2",
        "searcher.population=16",
        "fitness=all",
        f"objectives=[{','.join(METRICS)}]",
        f"evaluations={arguments.evaluations}",
        f"test_items_per_task={2 * ITEMS}",
        "executor=processes",
        f"executor.workers={arguments.workers}",
        "model.threads=1",
        "seed=0",
        f"run_dir={folder}",
    ]
    ready = search.prepare(compose.search(told), print)
    search.search(ready, watched(arguments.work / "long-seconds.jsonl"))
    return ready.folder


def watched(file: Path) -> Callable[[Progress], None]:
    """What is told of progress: prints it, and keeps processor seconds of this process and of its workers.

    Args:
        file: A line for every outcome; those of one process have the same ``begun``.
    """
    begun, known = time.time(), dict[int, float]()

    def tell(progress: Progress) -> None:
        mine = psutil.Process()
        for process in [mine, *mine.children(recursive=True)]:
            try:
                spent = process.cpu_times()
            except psutil.NoSuchProcess:
                continue  # what it had spent by the last outcome is known
            known[process.pid] = spent.user + spent.system
        cpu = sum(known.values())
        json_lines.append(file, {"begun": begun, "wall": time.time() - begun, "cpu": cpu, "phase": progress.phase})
        print(f"{progress}, {cpu:.0f} s of the processor", flush=True)

    return tell


def spent(lines: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Processor and wall seconds of all starts of the search together."""
    last = {line["begun"]: line for line in lines}
    return {name: sum(line[name] for line in last.values()) for name in ("cpu", "wall")}


def probes(asked: Asked, store: RunStore, count: int, file: Path) -> list[dict[str, Any]]:
    """Candidates at even distances, each asked by stock lm-eval and by evomerge; what is known is not asked again.

    Args:
        asked: The task and the live model.
        store: The search.
        count: How many.
        file: Where their figures are kept.
    """
    scored = candidates(store)
    for part in range(count):
        place = min(len(scored) - 1, int((part + 0.5) * len(scored) / count))
        if any(line["candidate"] == place for line in json_lines.read(file)):
            continue
        one = scored[place]
        earlier = [other for other in store.evaluations("search") if other.ask.batch < one.ask.batch]
        drafts = drafts_of([_ids(store, other) for other in earlier if other.error is None])
        asked.install(Recipe.from_json(one.recipe))
        stock, rows = asked.stock()
        ours, responses = asked.ours(drafts)
        figures = {
            "candidate": place,
            "stock": stock.cpu,
            "ours": ours.cpu,
            "batch_size": rows,
            "tokens": fmean(len(response.ids[0]) for response in responses),
        }
        json_lines.append(file, figures)
        print(figures, flush=True)
    return json_lines.read(file)


def candidates(store: RunStore) -> list[Evaluation]:
    """The searched candidates in their order, baselines left out."""
    return [one for one in store.evaluations("search") if one.name is None and one.error is None]


def _ids(store: RunStore, one: Evaluation) -> dict[str, list[int]]:
    return {response.item: list(response.ids[0]) for response in store.responses(one)}


def figures(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the page says, all of it measured."""
    store = RunStore.read(run(arguments))
    torch.set_num_threads(1)
    asked = Asked("worked", arguments.models, DTYPE, ITEMS, arguments.work)
    probed = probes(asked, store, PROBES, arguments.work / "long-probes.jsonl")
    scored = candidates(store)
    confirmed = [one for one in store.evaluations("test") if one.error is None]
    searched = {one.digest: one.metrics for one in store.evaluations("search") if one.error is None}
    return {
        "machine": machine("torch", "transformers", "lm-eval"),
        "items": ITEMS,
        "workers": arguments.workers,
        "candidates": len(scored),
        "records": {split: len(store.evaluations(split)) for split in ("search", "selection", "test")},
        "spent": spent(json_lines.read(arguments.work / "long-seconds.jsonl")),
        "tokens": [round(fmean(one.metrics[METRICS[1]] for one in part), 1) for part in _quarters(scored)],
        "probes": probed,
        "confirmed": [
            {
                "name": one.name or "candidate",
                "test": {label: one.metrics[label] for label in METRICS},
                "search": {label: searched[one.digest][label] for label in METRICS},
            }
            for one in confirmed
        ],
    }


def _quarters(scored: Sequence[Evaluation]) -> list[Sequence[Evaluation]]:
    ends = [round(part * len(scored) / 4) for part in range(5)]
    return [scored[start:end] for start, end in itertools.pairwise(ends) if end > start]


def page(found: dict[str, Any]) -> str:
    """The figures for people."""
    about, probed = found["machine"], found["probes"]
    count, ours = found["candidates"], found["spent"]["cpu"]
    stock = fmean(one["stock"] for one in probed)
    alone = fmean(one["ours"] for one in probed)
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    tokens = ", ".join(f"{part:g}" for part in found["tokens"])
    accuracy, length = METRICS
    return "\n".join(
        [
            "# A search of many hours, with drafts",
            "",
            f"NSGA-II over two experts of SmolLM2-135M for correct and short worked answers, 5-shot, {found['items']} "
            f"items a candidate, {DTYPE}; {found['workers']} processes of one thread each on {about['cpu']}; "
            f"{about['date']}, {versions}. All seconds are the processor's.",
            "",
            f"- The search: {count} candidates, with baselines, selection, test and report in {ours:.0f} s, "
            f"{ours / 3600:.1f} hours, {ours / count:.1f} s for each candidate. The clock says "
            f"{found['spent']['wall'] / 3600:.1f} hours, with other work on the machine.",
            f"- Stock lm-eval asks the same items of {len(probed)} of these candidates, at even distances of the "
            f"search, in {stock:.1f} s each, so {count} of them in {stock * count / 3600:.1f} hours: merges, "
            "baselines, selection and test are not counted there.",
            f"- So {stock * count / ours:.1f} times as fast, everything of ours counted. With drafts, in the "
            f"same process, these candidates took {alone:.1f} s each: {stock / alone:.1f} times as fast as stock.",
            f"- Tokens of an answer, means over the quarters of the search: {tokens}.",
            "",
            "| candidate | tokens of an answer | seconds, stock | seconds, with drafts | times |",
            "|---|---|---|---|---|",
            *(
                f"| {one['candidate'] + 1} | {one['tokens']:.0f} | {one['stock']:.1f} | {one['ours']:.1f} "
                f"| {one['stock'] / one['ours']:.1f} |"
                for one in probed
            ),
            "",
            f"What was confirmed, on {2 * ITEMS} items of the test split and on the {ITEMS} that were searched on:",
            "",
            "| model | correct, test | correct, search | tokens of an answer, test | tokens, search |",
            "|---|---|---|---|---|",
            *(
                f"| {one['name']} | {100 * one['test'][accuracy]:.0f} % | {100 * one['search'][accuracy]:.0f} % "
                f"| {one['test'][length]:.1f} | {one['search'][length]:.1f} |"
                for one in found["confirmed"]
            ),
            "",
        ]
    )


def main() -> None:
    """Runs what is missing, and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=DEFAULT_WORK, help="folder of base, expert_money, expert_rates")
    parser.add_argument("--work", type=Path, default=Path("experiments/generation/work"), help="folder of the search")
    parser.add_argument("--evaluations", type=int, default=1120, help="candidates")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--page", action="store_true", help="write the page again, from figures that are there")
    arguments = parser.parse_args()
    file = RESULTS / "long.json"
    if not arguments.page:
        arguments.work.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(figures(arguments), indent=1) + "\n", encoding="utf-8")
    text = page(json.loads(file.read_text(encoding="utf-8")))
    file.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
