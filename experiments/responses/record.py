"""Records the answers of many merges of a family as a table that others can use.

    python -m experiments.responses.record example_0
    python -m experiments.responses.record smollm2

Models that are missing are made first. Every merge is kept on disk when it has been scored, so that a repeated command
goes on where the last one stopped. The table is written when all merges are there.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from evomerge.executors._shared.response_table import parquet
from experiments.responses.families import HERE, WORK, find
from experiments.responses.landscape import Landscape
from experiments.responses.merges import merges
from experiments.responses.tables import table

DIGITS = 10  # binary digits of recorded values


def main() -> None:
    """Reads the command line, scores what is missing, writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family", help="example_0, example_1, ... or smollm2")
    parser.add_argument("--work", type=Path, default=WORK, help="folder for models and for what has been scored")
    parser.add_argument("--models", type=Path, default=Path("experiments/smollm2/models"), help="SmolLM2's models")
    parser.add_argument("--share", type=float, default=1.0, help="share of the merges, for a try")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of the tables")
    arguments = parser.parse_args()
    family = find(arguments.family, arguments.work, arguments.models)
    family.make()
    design = family.design if arguments.share == 1.0 else family.design.scaled(arguments.share)
    landscape = Landscape(family, arguments.work / family.name)
    started, found = time.monotonic(), []
    for merge in merges(landscape, design):
        found.append(merge)
        each = (time.monotonic() - started) / max(landscape.fresh, 1)
        scores = " ".join(f"{score:.3f}" for score in landscape.scores(merge.answered))
        print(f"{len(found)} {merge.origin} {scores} {merge.answered.seconds:.1f} s, {each:.1f} s each", flush=True)
    folder, made = arguments.out / family.name, table(landscape, found)
    parquet.write(folder, made, digits=DIGITS)
    size = sum(file.stat().st_size for file in folder.glob("*.parquet"))
    print(f"{folder}: {made.about}; {size} bytes")


if __name__ == "__main__":
    main()
