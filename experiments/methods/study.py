"""Every merge method at equal budget: held-out score, hypervolume, and seconds for a candidate.

    python -m experiments.methods.study [--family smollm2 --models FOLDER] [--work FOLDER]
    python -m experiments.methods.study --page

Each search's figures are a line of FOLDER/searches.jsonl as soon as it is over. A repeated command goes on;
in a new folder it goes on from the committed figures. Several processes can share a folder; each takes the
next search that no other has.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np

import evomerge
from evomerge import methods, statistics
from evomerge.analysis.pareto import hypervolume
from evomerge.evaluation import Evaluation
from experiments import json_lines
from experiments.methods.page import CANDIDATES, committed, write

ITEMS = 64
RESULTS, WORK = Path("results/methods"), Path("experiments/methods/work")
STEPS: Mapping[str, tuple[str, ...]] = dict.fromkeys(("task_arithmetic", "ties"), ("lines", "svc", "aim"))


@dataclass(frozen=True)
class Way:
    """A method, and the steps after its merge.

    Attributes:
        method: Its name.
        post: Names of the steps.
    """

    method: str
    post: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """For people."""
        return " + ".join((self.method, *self.post))


@dataclass(frozen=True)
class Family:
    """Experts of one base, and the tasks that they are asked.

    Attributes:
        values: Keys of a search over them.
        tasks: Two tasks; their accuracies are the objectives.
        seeds: How many searches of each way.
    """

    values: Mapping[str, Any]
    tasks: tuple[str, str]
    seeds: int


def families(models: Path) -> dict[str, Family]:
    """The families by name; the models of experiments/smollm2 are in a folder."""
    experts = [str(models / f"expert_{skill}") for skill in ("kinds", "sounds")]
    smollm2 = {
        "models": experts,
        "base": str(models / "base"),
        "tasks": ["smollm2_kinds", "smollm2_sounds"],
        "task_path": ["experiments/smollm2/tasks"],
        "genome.frozen": ["embedding", "norm"],
        "model.dtype": "bfloat16",
        # Most of the work is answering held-out items: fewer candidates come so far, and are asked fewer.
        "promote.candidates": 8,
        "confirm.finalists": 3,
        "confirm.scales": [],
        "test_items_per_task": 160,
    }
    return {
        "example": Family({"experiment": "example"}, ("exam_a", "exam_b"), 3),
        "smollm2": Family(smollm2, ("smollm2_kinds", "smollm2_sounds"), 1),
    }


def ways() -> Iterator[Way]:
    """All methods that merge two models, and some with steps after the merge."""
    for name in methods.names():
        method = methods.load(name)
        least, most = method.models
        read = {need.statistic for need in method.needs(method.resolve({}))}
        if least <= 2 and (most is None or most >= 2) and read <= {*statistics.names(), *statistics.FITTED}:
            yield Way(name)
            yield from (Way(name, (step,)) for step in STEPS.get(name, ()))


def search(family: Family, way: Way, seed: int, folder: Path) -> dict[str, Any]:
    """One search, and what it returns; its seconds are the processor's, as other work may share the cores."""
    started = time.process_time()
    run = evomerge.search(
        **family.values,
        **({"post": list(way.post)} if way.post else {}),
        method=way.method,
        # Of the search items, which is what all other methods see; kept for the next search of the same models.
        **{"statistics.folder": str(folder.parent / "statistics")},
        genome="auto",
        objectives=[f"{task}.acc" for task in family.tasks],
        evaluations=CANDIDATES,
        items_per_task=ITEMS // len(family.tasks),
        seed=seed,
        run_dir=str(folder),
    )
    return {**returned(run, family), "seconds": round(time.process_time() - started, 2)}


def best_of(run: evomerge.Run, family: Family) -> str:
    """Digest of the confirmed candidate with the best mean on selection items."""
    found = _compared(run, family)
    return max(found, key=lambda digest: (found[digest], digest))


def _compared(run: evomerge.Run, family: Family) -> dict[str, float]:
    """Means on selection items of the candidates that were confirmed."""
    confirmed = {record.digest for record in run.evaluations("test")}
    return {
        record.digest: _mean(record, family)
        for record in run.evaluations("selection")
        if not record.name and record.error is None and record.digest in confirmed
    }


def returned(run: evomerge.Run, family: Family) -> dict[str, Any]:
    """Figures of what a search returns, on held-out items."""
    searched = [record for record in run.evaluations("search") if not record.name]
    confirmed = {record.digest: record for record in run.evaluations("test")}
    best = confirmed[best_of(run, family)]
    points = np.array([_scores(confirmed[digest], family) for digest in sorted(_compared(run, family))])
    shown = {record.name: _mean(record, family) for record in confirmed.values() if record.name}
    return {
        "score": _mean(best, family),
        "se": _error(run, best, family),
        "hypervolume": hypervolume(-points, np.zeros(points.shape[1])),
        "failed": sum(record.error is not None for record in searched),
        "genes": len(run.manifest["genome"]["labels"]) if "labels" in run.manifest.get("genome", {}) else None,
        "baselines": shown,
    }


def _scores(record: Evaluation, family: Family) -> list[float]:
    return [record.metrics[f"{task}.acc"] for task in family.tasks]


def _mean(record: Evaluation, family: Family) -> float:
    return float(np.mean(_scores(record, family)))


def _error(run: evomerge.Run, record: Evaluation, family: Family) -> float:
    """Standard error of the mean over the tasks."""
    variance = 0.0
    answers = run.responses(record)
    for task in family.tasks:
        own = np.array([response.metrics["acc"] for response in answers if response.task == task])
        variance += own.var(ddof=1) / len(own)
    return float(np.sqrt(variance)) / len(family.tasks)


@contextlib.contextmanager
def _claimed(file: Path) -> Iterator[bool]:
    """Whether no other process has the search; ours until the block or this process ends."""
    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=["example", "smollm2"], default="example")
    parser.add_argument("--models", type=Path, default=Path("experiments/smollm2/models"))
    parser.add_argument("--methods", nargs="*", help="only these")
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--page", action="store_true", help="write the page from what there is, and search nothing")
    arguments = parser.parse_args()
    file, family = arguments.work / "searches.jsonl", families(arguments.models)[arguments.family]
    arguments.work.mkdir(parents=True, exist_ok=True)
    if not file.exists():  # elsewhere a part may be done, and committed
        for entry in committed(arguments.out):
            json_lines.append(file, entry)
    for seed in range(0 if arguments.page else family.seeds):
        for way in ways():
            if way.method not in (arguments.methods or [way.method]):
                continue
            folder = arguments.work / f"{arguments.family}-{way.name.replace(' ', '')}-{seed}"
            key = {"family": arguments.family, "way": way.name, "seed": seed}
            with _claimed(folder.with_suffix(".lock")) as claimed:
                if not claimed or any(key.items() <= entry.items() for entry in json_lines.read(file)):
                    continue
                found = search(family, way, seed, folder)
                json_lines.append(file, {**key, **found})
            shutil.rmtree(folder)
            print(f"{way.name}, seed {seed}: {100 * found['score']:.1f} %, {found['seconds']} s", flush=True)
    write(arguments.work, arguments.out)


if __name__ == "__main__":
    main()
