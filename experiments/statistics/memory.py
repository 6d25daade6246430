"""The peak memory of collections beside the prediction, each collection in a process of its own.

    python -m experiments.statistics.memory FOLDER|135m|1b [STATISTIC ...] [--tokens 512] [--memory 4000000000]

A size stands for a model with random weights, generated for the occasion. Prints one line of JSON for each statistic.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evomerge.checkpoints import open_source
from evomerge.merging import Blueprint, LiveModel
from evomerge.merging.footprint import resident
from evomerge.statistics import Calibration, Keyed, Limits, Passage, StatisticsFolder, Wanted, fill, forecast, names
from experiments.merge_speed.models import generate

SEQUENCES = 3


def texts(tokens: int) -> Calibration:
    """Random sequences, whose loss is on all tokens."""
    draw = np.random.default_rng(0)
    scored = np.arange(tokens) > 0
    rows = draw.integers(3, 1000, (SEQUENCES, tokens))
    return Calibration(tuple(Passage(row.astype(np.int32), scored) for row in rows), tokens)


def measured(model: Path, statistic: str, tokens: int, memory: int) -> dict[str, Any]:
    """Collects a statistic in this process; bytes that it had before and at most, and seconds of the processor."""
    Blueprint.of(open_source(model))  # as the process that predicts, it has the model's code
    before = resident()
    calibration = texts(tokens)
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        live = LiveModel.load(model)
        loaded = time.process_time()
        wanted = Keyed.of(Wanted(statistic), "", calibration)
        fill(StatisticsFolder(Path(folder)), live, calibration, [wanted], Limits(memory))
        disk = StatisticsFolder(Path(folder)).bytes(wanted.key)
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert found is not None
    ended = time.process_time()
    return {
        "before": before,
        "peak": int(found[1]) * 1024,
        "disk": disk,
        "seconds": round(ended - loaded, 1),
        "loading": round(loaded - start, 1),
    }


def compared(model: Path, statistic: str, tokens: int, memory: int) -> dict[str, Any]:
    """Predicts a collection here, and has it measured in another process."""
    expected = forecast(open_source(model), texts(tokens), [Wanted(statistic)], Limits(memory))
    words = [sys.executable, "-m", "experiments.statistics.memory", str(model), statistic, "--measure"]
    words += ["--tokens", str(tokens), "--memory", str(memory)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    seen = json.loads(done.stdout.splitlines()[-1])
    predicted = seen["before"] + expected.memory
    return {
        "statistic": statistic,
        "tokens": tokens,
        "passes": expected.passes,
        "predicted": {"bytes": predicted, "disk": expected.disk, "seconds": round(expected.seconds, 1)},
        "measured": seen,
        "ratio": round(predicted / seen["peak"], 3),
        "threads": torch.get_num_threads(),
    }


def main() -> None:
    """Compares, or measures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("statistics", nargs="*", default=names())
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--memory", type=int, default=4_000_000_000)
    parser.add_argument("--measure", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(given.model)
        model = folder if folder.is_dir() else generate(given.model, Path(made), ())[0]
        for statistic in given.statistics:
            asked = (model, statistic, given.tokens, given.memory)
            found = measured(*asked) if given.measure else {"model": Path(given.model).name, **compared(*asked)}
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
