"""The peak memory of transformations beside the prediction, each in a process of its own.

    python -m experiments.statistics.transforms FOLDER [KIND ...] [--texts 3] [--tokens 256]

FOLDER holds `base` and experts beside it. Statistics that a transformation reads are collected first, in another
process, so that the peak is the transformation's own. Prints one line of JSON for each. What decides about memory is
how large the models are, not how long solvers iterate, so they stop after a few steps.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evomerge.checkpoints import open_source, read_tokenizer
from evomerge.merging import Blueprint
from evomerge.merging.footprint import resident
from evomerge.recipe import CheckpointRef
from evomerge.run.configs.verbs import TransformConfig
from evomerge.run.transforming.transform import prepared, transform
from evomerge.statistics import StatisticsSettings

STEPS: dict[str, dict[str, Any]] = {"regmean_plusplus": {}, "mats": {"iterations": 1}, "pleas": {"steps": 1}}


def write_texts(model: Path, file: Path, count: int, tokens: int) -> None:
    """Texts of random tokens."""
    tokenizer, draw = read_tokenizer(model, trust_remote_code=False), np.random.default_rng(0)
    texts = [tokenizer.decode(draw.integers(1000, 20000, tokens).tolist()) for _ in range(count)]
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")


def configured(folder: Path, kind: str, work: Path, tokens: int) -> TransformConfig:
    """The transformation of all experts of a folder."""
    experts = sorted(path for path in folder.iterdir() if path.name.startswith("expert") and path.is_dir())[:2]
    return TransformConfig(
        kind=kind,
        models=tuple(CheckpointRef(str(path)) for path in experts),
        base=CheckpointRef(str(folder / "base")),
        out=str(work / f"out-{kind}"),
        options=STEPS[kind],
        calibration=(str(work / "texts.jsonl"),),
        statistics=StatisticsSettings(folder=str(work / "statistics"), tokens=tokens),
        offline=True,
    )


def measured(config: TransformConfig) -> dict[str, Any]:
    """Transforms in this process; bytes that it had before and at most, and processor seconds."""
    assert config.base is not None
    Blueprint.of(open_source(Path(config.base.source)))  # as the process that predicts, it has the model's code
    before, start = {**parts(), "resident": resident()}, time.process_time()
    most: dict[str, int] = {}
    over = threading.Event()
    watching = threading.Thread(target=watch, args=(most, over))
    watching.start()
    try:
        transform(config)
    finally:
        over.set()
        watching.join()
    return {
        "before": before["resident"],
        "peak": status("VmHWM"),
        "own": most["RssAnon"] - before["RssAnon"],
        "mapped": most["RssFile"] - before["RssFile"],
        "seconds": round(time.process_time() - start, 1),
    }


def status(name: str) -> int:
    """Bytes of an entry of this process's status."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert found is not None
    return int(found[1]) * 1024


def parts() -> dict[str, int]:
    """Memory of this process's own, and pages of files."""
    return {name: status(name) for name in ("RssAnon", "RssFile")}


def watch(most: dict[str, int], over: threading.Event) -> None:
    """Keeps the most of both, looked at now and then."""
    while not over.wait(0.05):
        for name, size in parts().items():
            most[name] = max(most.get(name, 0), size)


def compared(folder: Path, kind: str, work: Path, tokens: int) -> dict[str, Any]:
    """Predicts a transformation here, once its statistics are there, and has it measured in another process."""
    words = [sys.executable, "-m", "experiments.statistics.transforms", str(folder), kind, "--work", str(work)]
    words += ["--tokens", str(tokens)]
    subprocess.run([*words, "--collect"], check=True)
    expected = prepared(configured(folder, kind, work, tokens)).forecast()
    done = subprocess.run([*words, "--measure"], capture_output=True, text=True, check=True)
    seen = json.loads(done.stdout.splitlines()[-1])
    predicted = seen["before"] + expected.memory + expected.mapped
    return {
        "transform": kind,
        "tokens": tokens,
        "passes": expected.passes,
        "predicted": {"bytes": predicted, "own": expected.memory, "mapped": expected.mapped},
        "measured": seen,
        "ratio": round(predicted / seen["peak"], 3),
        "own_ratio": round(expected.memory / seen["own"], 3),
        "threads": torch.get_num_threads(),
    }


def main() -> None:
    """Compares, collects, or measures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("kinds", nargs="*", default=list(STEPS))
    parser.add_argument("--texts", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--collect", action="store_true")
    parser.add_argument("--measure", action="store_true")
    given = parser.parse_args()
    if given.collect or given.measure:
        for kind in given.kinds:
            config = configured(given.folder, kind, given.work, given.tokens)
            if given.measure:
                print(json.dumps(measured(config)), flush=True)
                continue
            for one, asked in prepared(config).looked:
                one.fill([asked])
        return
    with tempfile.TemporaryDirectory() as made:
        work = Path(made) if given.work is None else given.work
        work.mkdir(parents=True, exist_ok=True)
        write_texts(given.folder / "base", work / "texts.jsonl", given.texts, given.tokens)
        for kind in given.kinds:
            found = compared(given.folder, kind, work, given.tokens)
            print(json.dumps({"model": given.folder.name, **found}), flush=True)


if __name__ == "__main__":
    main()
