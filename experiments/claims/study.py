"""What may be said of the best of a shortlist: intervals after a choice, over many small searches on a recorded table.

    python -m experiments.claims.study experiments/responses/example_0

A search draws candidates of a population, scores them on few items and lists the best; those are compared on selection
items, and the best one there is returned. Items are drawn from those of the table with replacement, so that the mean
over the table is the true score and what fresh items give. Two things may be claimed: the true score of the one model
that was returned, and what such a choice gives on average over selection items that were not drawn.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evomerge.analysis import Interval, interval
from evomerge.analysis.repeated_splits import repeated_splits
from evomerge.executors._shared.response_table import read_table
from experiments.claims.e_values import selected_interval
from experiments.estimation.cells import Array, Cell, cells, generator, ranked
from experiments.estimation.measures import first

CANDIDATES, SEARCHED = 40, 20  # of a search: how many, and on how many items
COMPARED = (4, 16)
SIZES = (20, 50, 100, 200)  # selection items
REDRAWN = 200  # selections of which the average choice is worked out
ALIKE = 0.02  # standard deviation of true scores below which merges count as alike
NORMAL = 1.959964
OWN, CORRECTED = "own interval (Wilson)", "own interval, level over number compared"
DESIGN = (
    f"A search scores {CANDIDATES} candidates of a population (all of a smaller one) on {SEARCHED} items, compares the "
    "best of them on selection items and returns the best there. Items are drawn with replacement, so the truth is "
    "known. *Returned*: how often the 95 % interval holds the true score of the model returned; *choice*: how often it "
    "holds the average true score of what such a choice returns, over selection items; *optimism*: the estimate "
    "less that average. Width and optimism in points."
)
FOUND = (
    "Reports claim what the choice gives on fresh items. Repeated splits keep 95 % for it on average, hardly "
    "wider than one model's own interval and without its optimism. That interval does as well here, as merges err "
    "on the same items, but its centre flatters; it fails where models err each on their own items. E-values hold "
    "for every claim, at nearly twice the width. Repeated splits in their usual form (a temperature of 0.1, "
    "normal intervals) fail: the softened choice is worse than the real one, and where all answers agree there is "
    "no width."
)
SPLITS, PLAIN, E_VALUES = "repeated splits", "repeated splits, normal interval at a temperature of 0.1", "e-values"


@dataclass(frozen=True)
class Trial:
    """One search and what is claimed after it.

    Attributes:
        returned: True score of the model that it returns.
        expected: Average true score of what the choice returns, over selection items.
        claims: Interval by its name.
    """

    returned: float
    expected: float
    claims: Mapping[str, Interval]


def trial(cell: Cell, number: int, compared: int, size: int) -> Trial:
    """Plays one search.

    Args:
        cell: The population.
        number: Of the repeat.
        compared: Length of the shortlist.
        size: Number of selection items.
    """
    random = generator("claims", cell.key, number)
    drawn = random.permutation(cell.members)[:CANDIDATES]
    searched = cell.values[np.ix_(drawn, random.integers(0, cell.items, SEARCHED))].mean(axis=1)
    listed = drawn[np.argsort(-searched - 1e-9 * random.random(len(drawn)))[:compared]]
    answers, truth = cell.values[listed], cell.truth[listed]
    values = answers[:, random.integers(0, cell.items, size)]
    best = first(values.mean(axis=1), random)
    redrawn = [first(answers[:, random.integers(0, cell.items, size)].mean(axis=1), random) for _ in range(REDRAWN)]
    return Trial(float(truth[best]), float(truth[redrawn].mean()), claims(values, best, random))


def claims(values: Array, best: int, random: np.random.Generator) -> dict[str, Interval]:
    """Every interval for the choice of one row of ``(compared, items)``."""
    count = len(values)
    plain = repeated_splits([values], [1.0], random, temperature=0.1).interval
    ends = plain.mean - NORMAL * plain.se, plain.mean + NORMAL * plain.se
    return {
        OWN: interval(values[best], True),
        CORRECTED: interval(values[best], True, 1.0 - 0.05 / count),
        SPLITS: repeated_splits([values], [1.0], random).interval,
        PLAIN: Interval(plain.mean, plain.se, *ends),
        E_VALUES: selected_interval([values[best]], [1.0], chosen=1, compared=count),
    }


def summary(trials: Sequence[Trial]) -> dict[str, tuple[float, float, float, float]]:
    """By interval: how often it holds the returned model's score and the choice's average, its width, its optimism."""
    found = {}
    for name in trials[0].claims:
        own = [(t.claims[name], t) for t in trials]
        rows = [
            (i.low <= t.returned <= i.high, i.low <= t.expected <= i.high, i.high - i.low, i.mean - t.expected)
            for i, t in own
        ]
        found[name] = tuple(float(column) for column in np.mean(np.array(rows, dtype=np.float64), axis=0))
    return found


def page(parts: Mapping[tuple[str, int, int], Sequence[Trial]], tables: Sequence[str]) -> str:
    """The page as Markdown.

    Args:
        parts: Group of populations, length of the shortlist and number of selection items to the searches.
        tables: Names of the tables.
    """
    head = ("merges", "compared", "items", "interval", "returned", "choice", "width", "optimism")
    about = (
        f"Response tables {', '.join(tables)}, populations whose true scores differ by a standard deviation of less "
        f"than {100 * ALIKE:.0f} points (alike) or more (apart). {DESIGN}"
    )
    lines = ["# What may be claimed of the best of a shortlist", "", *_verdict(parts), "", FOUND, "", about, ""]
    lines += [f"| {' | '.join(head)} |", f"|{len(head) * '---|'}"]
    for (group, compared, size), trials in parts.items():
        for name, (returned, choice, width, optimism) in summary(trials).items():
            lines.append(
                f"| {group} | {compared} | {size} | {name} | {100 * returned:.1f} % | {100 * choice:.1f} % | "
                f"{100 * width:.1f} | {100 * optimism:+.1f} |"
            )
    number = min(map(len, parts.values()))
    lines += ["", f"At least {number} searches in each row; a share of 95 % has a standard error of "
              f"{100 * np.sqrt(0.95 * 0.05 / number):.1f} points or less."]  # fmt: skip
    return "\n".join(lines) + "\n"


def _verdict(parts: Mapping[tuple[str, int, int], Sequence[Trial]]) -> list[str]:
    """Over all rows: least and mean coverage of either claim, mean width and optimism."""
    rows = [summary(trials) for trials in parts.values()]
    head = ("interval", "returned, least and mean", "choice, least and mean", "width", "optimism")
    lines = [f"| {' | '.join(head)} |", f"|{len(head) * '---|'}"]
    for name in rows[0]:
        own = np.array([row[name] for row in rows])
        least, mean = 100 * own.min(axis=0), 100 * own.mean(axis=0)
        lines.append(
            f"| {name} | {least[0]:.1f} %, {mean[0]:.1f} % | {least[1]:.1f} %, {mean[1]:.1f} % | {mean[2]:.1f} | "
            f"{mean[3]:+.1f} |"
        )
    return lines


def main(words: Sequence[str] | None = None) -> None:
    """Reads the command line, plays the searches, writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path, nargs="+", help="folders of response tables")
    parser.add_argument("--repeats", type=int, default=400, help="searches in each row, at least")
    parser.add_argument("--out", type=Path, default=Path("results/estimation/claims.md"), help="the page")
    arguments = parser.parse_args(words)
    found = [cell for folder in arguments.tables for cell in ranked(cells(folder.name, read_table(folder)))]
    groups = {"alike": [c for c in found if c.spread < ALIKE], "apart": [c for c in found if c.spread >= ALIKE]}
    parts = {
        (group, compared, size): [
            trial(cell, number, compared, size) for cell in own for number in range(-(-arguments.repeats // len(own)))
        ]
        for group, own in groups.items()
        if own
        for compared in COMPARED
        for size in SIZES
    }
    arguments.out.write_text(page(parts, [folder.name for folder in arguments.tables]), encoding="utf-8")


if __name__ == "__main__":
    main()
