"""A search for correct and short worked answers, with drafts and without: the same records, in how many seconds?

NSGA-II over two experts of SmolLM2-135M with two objectives, accuracy and tokens of an answer, once with
``fitness.drafts=off`` and once with ``auto``, from the same seed. In float32 both must keep the same records; a
candidate whose answers differ would change every batch after its own.

Run from the repository root: ``python -m experiments.generation.study``. Each search has a folder; a repeated command
goes on where it stopped. ``--page`` writes the page again from committed figures, and searches nothing.

These searches are small; :mod:`experiments.generation.long` is one of many hours.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from evomerge.config import compose
from evomerge.evaluation import Evaluation
from evomerge.run import search
from evomerge.store import RunStore
from experiments.generation.ways import words
from experiments.machine import machine
from experiments.smollm2.prepare import DEFAULT_WORK

DRAFTS = ("off", "auto")
OBJECTIVES = "generation_worked.exact_match,strict-match,generation_worked.tokens"


def run_folder(drafts: str, arguments: argparse.Namespace) -> Path:
    """The folder of one of the searches."""
    return arguments.work / f"study-{arguments.dtype}-{drafts}"


def search_once(drafts: str, arguments: argparse.Namespace) -> Path:
    """Runs one search, or goes on with it.

    Args:
        drafts: The setting ``fitness.drafts``.
        arguments: The command line.

    Returns:
        Its folder.
    """
    told = [
        *words("worked", arguments.models, arguments.dtype, arguments.items),
        "searcher=nsga2",
        "fitness=all",
        f"objectives=[{OBJECTIVES}]",
        f"evaluations={arguments.evaluations}",
        f"test_items_per_task={arguments.items}",
        f"fitness.drafts={drafts}",
        "model.threads=1",
        "seed=0",
        f"run_dir={run_folder(drafts, arguments)}",
    ]
    ready = search.prepare(compose.search(told), print)
    search.search(ready, lambda progress: print(f"drafts={drafts}: {progress}", flush=True))
    return ready.folder


def seconds(store: RunStore) -> list[tuple[Evaluation, float]]:
    """The scored evaluations of the search split in their order, with the wall seconds of scoring."""
    found = [(one, store.provenance(one)) for one in store.evaluations("search")]
    return [(one, how.seconds.get("score", 0.0)) for one, how in found if how.attempt]


def compare(stores: dict[str, RunStore]) -> dict[str, Any]:
    """Figures of both searches, and how many of their records are the same."""
    kept = {name: store.evaluations() for name, store in stores.items()}
    same = sum(
        (a.ask, a.digest, dict(a.metrics)) == (b.ask, b.digest, dict(b.metrics))
        for a, b in zip(kept["off"], kept["auto"], strict=False)
    )
    figures: dict[str, Any] = {"records": {name: len(found) for name, found in kept.items()}, "same": same, "ways": {}}
    for name, store in stores.items():
        scored = seconds(store)
        later = [spent for one, spent in scored if one.batch > 1]
        figures["ways"][name] = {
            "candidates": len(scored),
            "baselines": median(spent for one, spent in scored if one.batch == 0),
            "first batch": median(spent for one, spent in scored if one.batch == 1),
            "later batches": median(later) if later else None,
            "all": sum(spent for _, spent in scored),
            "tokens": median(one.metrics["generation_worked.tokens"] for one, _ in scored),
        }
    return figures


def page(figures: dict[str, Any]) -> str:
    """The figures for people."""
    about, ways = figures["machine"], figures["ways"]
    columns = ("candidates", "baselines", "first batch", "later batches", "all")
    rows = [
        f"| {name} | " + " | ".join(f"{way[key]:.3g}" if way[key] is not None else "" for key in columns) + " |"
        for name, way in ways.items()
    ]
    return "\n".join(
        [
            "# A search for correct and short answers, with drafts and without",
            "",
            f"NSGA-II over two experts of SmolLM2-135M, {figures['items']} items a candidate, {figures['dtype']}, one "
            f"thread of {about['cpu']}; {about['date']}. Wall seconds of scoring, medians; *all* is the sum.",
            "",
            f"| drafts | {' | '.join(columns)} |",
            "|---" * (len(columns) + 1) + "|",
            *rows,
            "",
            f"Scoring all candidates took {ways['off']['all'] / ways['auto']['all']:.1f} times as long without drafts. "
            f"Of {figures['records']['off']} and {figures['records']['auto']} records, {figures['same']} are the same.",
            "Candidates include baselines; records include what was asked on selection and test items.",
            "",
            "These searches are small. [One of many hours](long.md) was run with drafts alone.",
            "",
        ]
    )


def main() -> None:
    """Runs what is missing of both searches, and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=DEFAULT_WORK, help="folder of base, expert_money, expert_rates")
    parser.add_argument("--work", type=Path, default=Path("experiments/generation/work"), help="folder of the searches")
    parser.add_argument("--out", type=Path, default=Path("results/generation"))
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--items", type=int, default=24)
    parser.add_argument("--evaluations", type=int, default=48)
    parser.add_argument("--page", action="store_true", help="write the page again, from figures that are there")
    arguments = parser.parse_args()
    file = arguments.out / f"study-{arguments.dtype}.json"
    if not arguments.page:
        stores = {drafts: RunStore.read(search_once(drafts, arguments)) for drafts in DRAFTS}
        about = {"machine": machine("torch", "transformers"), "items": arguments.items, "dtype": arguments.dtype}
        arguments.out.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(about | compare(stores), indent=1) + "\n", encoding="utf-8")
    text = page(json.loads(file.read_text()))
    file.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
