"""The page of both studies, from their figures: ``python -m experiments.asynchronous.page``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.asynchronous import quality


def workers(data: Mapping[str, Any]) -> str:
    """Shares of the workers' time."""
    lines = ["| | seconds | at work | at work until the last ask | least busy worker |", "|---|---|---|---|---|"]
    for name, found in data["searches"].items():
        early = found["busy_before_the_last_ask"]
        lines.append(
            f"| {name} | {found['seconds']:.1f} | {100 * found['busy']:.1f} % | "
            f"{f'{100 * early:.1f} %' if early is not None else ''} | {100 * min(found['by_worker'].values()):.1f} % |"
        )
    return "\n".join(lines)


def main() -> None:
    """Reads the figures and writes the page beside them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/asynchronous"))
    out: Path = parser.parse_args().out
    measured = json.loads((out / "workers.json").read_text())
    rows = quality.whole([json.loads(line) for line in (out / "quality.jsonl").read_text().splitlines()])
    seeds = len({row["seed"] for row in rows})
    text = f"""\
# Searches without batches

## How busy workers are

Processes that sleep instead of scoring; `nsga2`, 400 candidates, population 16; on {measured["machine"]["cpu"]}, \
{measured["machine"]["date"]}, on one core that other programs used too. "At work": the workers' seconds at candidates
over their seconds from the first ask to the last answer. In the end those who are done first wait for the last; until
the last ask nobody waits for anybody.

{workers(measured)}

## What is found with as many candidates

Recorded answers (`experiments/responses/example_0`, interpolated), {quality.CANDIDATES} candidates, population
{quality.POPULATION}, {seeds} seeds; differences are points (hundredths) with 95 % intervals, paired by seed. Time is
the workers': a candidate takes a second on a fast one.

With half as many workers as the population has members, nothing is lost against generations; with four times as many,
most candidates are children of a population that has hardly been told anything, and it is.

{quality.page(rows)}"""
    (out / "asynchronous.md").write_text(text)
    print(out / "asynchronous.md")


if __name__ == "__main__":
    main()
