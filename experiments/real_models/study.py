"""Does a merge of real models hold both specialists at once, and if not, can any?

    python -m experiments.real_models.study --family dictionary        its grid and its searches, resumable
    python -m experiments.real_models.study --page                     the page from what there is

Each family has a grid over the weights of its two specialists, and searches with half of the items that the defaults
take and with the defaults. Everything is kept as soon as it is there: points of the grid and finished searches in
FOLDER/*.jsonl, searches in progress in folders of their own, which a repeated command goes on with.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from experiments import json_lines
from experiments.real_models import grid, page, searches
from experiments.real_models.families import Family, families
from experiments.real_models.searches import WAYS, Size
from experiments.smollm2.prepare import DEFAULT_WORK as MODELS

WORK, RESULTS = Path("experiments/real_models/work"), Path("results/real_models")


def run_searches(
    family: Family, size: Size, work: Path, ways: Sequence[str] = tuple(WAYS), items: int | None = None
) -> Path:
    """Does the searches that are missing, seed by seed.

    Args:
        family: The family.
        size: Of the searches.
        work: Folder for what is made.
        ways: Keys of ``WAYS``.
        items: Held-out items of each task that what they return is scored on; None for all.

    Returns:
        A file with a line for each search: ``way``, ``seed``, and what :func:`searches.summary` gives.
    """
    work.mkdir(parents=True, exist_ok=True)
    file = work / f"{family.name}_searches.jsonl"
    done = {(entry["way"], entry["seed"]) for entry in json_lines.read(file)}
    wanted = [(way, seed) for seed in range(size.seeds) for way in ways if seed < (WAYS[way].seeds or size.seeds)]
    wanted.sort(key=lambda search: WAYS[search[0]].times)  # the long ones last
    todo = [search for search in wanted if search not in done]
    held_out = searches.HeldOut(family, work, items) if todo else None
    for way, seed in todo:
        assert held_out is not None
        found = {"way": way, "seed": seed, **searches.run(family, way, seed, size, held_out)}
        json_lines.append(file, found)
        share = found["share"]
        print(
            f"{family.name}, {way}, seed {seed}: {share['value']:.3f} of both specialists at once "
            f"({share['low']:.3f} to {share['high']:.3f}), {found['items']['search']} items, {found['seconds']:.0f} s",
            flush=True,
        )
    return file


def main() -> None:
    """Reads the command line, does what is missing, writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=MODELS, help="folder of base and experts")
    parser.add_argument("--work", type=Path, default=WORK, help="folder for what is made")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the page")
    parser.add_argument("--family", choices=tuple(families(MODELS)), help="one of the families (default: all)")
    parser.add_argument("--part", choices=("grid", *WAYS), help="one part of a family's study (default: all)")
    parser.add_argument("--seeds", type=int, default=Size.seeds, help=f"searches of each kind (default: {Size.seeds})")
    parser.add_argument("--page", action="store_true", help="write the page from what there is, and run nothing")
    arguments = parser.parse_args()
    known = families(arguments.models)
    chosen = [known[arguments.family]] if arguments.family else list(known.values())
    for family in () if arguments.page else chosen:
        if family.missing:
            raise SystemExit(
                f"error: expected {', '.join(family.missing)} in {family.models}; write them with python -m "
                "experiments.smollm2.prepare and python -m experiments.smollm2.finetune --skill SKILL"
            )
        if arguments.part in (None, "grid"):
            grid.run(family, arguments.work)
        ways = [way for way in WAYS if arguments.part in (None, way)]
        run_searches(family, Size(seeds=arguments.seeds), arguments.work, ways)
    page.write(list(known.values()), arguments.work, arguments.out)


if __name__ == "__main__":
    main()
