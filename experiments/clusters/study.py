"""Coverage of 95 % intervals over clustered items, by simulation: ``python -m experiments.clusters.study``."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.clusters.rivals import RIVALS, mean_ours, pair_ignored, pair_ours

OUT = Path(__file__).parents[2] / "results" / "clusters" / "clusters.md"
REPEATS = 400
CLUSTERS = (3, 5, 10, 30, 100)
SIZES = ("2", "5", "20", "mixed")  # items per cluster; mixed: log-normal, median 2.7
SHARES = (0.5, 0.9, 0.97)  # of right answers
ALIKE = (0.0, 0.1, 0.4, 1.0)  # correlation within clusters
ONE_SIDED = ((0.1, 0.02), (0.3, 0.1), (0.05, 0.05))  # shares of items that only the one model solves, and the other

Row = dict[str, list[tuple[float, float]]]  # interval to coverage and width of each design


def labels(count: int, size: str, random: np.random.Generator) -> NDArray[np.intp]:
    """Cluster of each item."""
    sizes = (
        np.full(count, int(size)) if size != "mixed" else np.maximum(1, np.exp(random.normal(1.0, 1.0, count)).round())
    )
    return np.repeat(np.arange(count), sizes.astype(int))


def mean_of_answers(count: int, size: str, random: np.random.Generator) -> Row:
    """Coverage and mean width of every interval for a share of right answers, design by design."""
    found: Row = {name: [] for name in RIVALS}
    for share, alike in itertools.product(SHARES, ALIKE):
        hits, widths = dict.fromkeys(RIVALS, 0), dict.fromkeys(RIVALS, 0.0)
        for _ in range(REPEATS):
            codes = labels(count, size, random)
            if alike in (0.0, 1.0):
                chances = np.full(count, share) if alike == 0.0 else (random.random(count) < share).astype(float)
            else:
                chances = random.beta(share * (1.0 / alike - 1.0), (1.0 - share) * (1.0 / alike - 1.0), count)
            answers = (random.random(codes.size) < chances[codes]).astype(float)
            names = codes.tolist()
            for name, rival in RIVALS.items():
                low, high = rival(answers, names, random)
                hits[name] += low - 1e-12 <= share <= high + 1e-12
                widths[name] += min(high, 1.0) - max(low, 0.0)
        for name in RIVALS:
            found[name].append((hits[name] / REPEATS, widths[name] / REPEATS))
    return found


def differences(count: int, size: str, random: np.random.Generator) -> Row:
    """The same for paired differences of right answers, and for means of other values."""
    found: Row = {"pairs, clusters ignored": [], "pairs, ours": [], "other values, ours": []}
    for (first, second), dispersion in itertools.product(ONE_SIDED, (math.inf, 5.0, 0.5)):
        hits, widths = dict.fromkeys(found, 0), dict.fromkeys(found, 0.0)
        shares = np.array([first, second, 1.0 - first - second])
        for _ in range(REPEATS):
            codes = labels(count, size, random)
            tables = (
                np.tile(shares, (count, 1)) if math.isinf(dispersion) else random.dirichlet(shares * dispersion, count)
            )
            kind = (random.random(codes.size)[:, None] > tables[codes].cumsum(axis=1)[:, :2]).sum(axis=1)
            both = (kind == 2) & (random.random(codes.size) < 0.5)
            a, b = ((kind == side).astype(float) + both for side in (0, 1))
            shared = {math.inf: 0.0, 5.0: 0.4, 0.5: 0.9}[dispersion]
            other = math.sqrt(1.0 - shared) * random.normal(size=codes.size)
            other += math.sqrt(shared) * random.normal(size=count)[codes]
            names = codes.tolist()
            ends = {
                "pairs, clusters ignored": (*pair_ignored(a, b, names), first - second),
                "pairs, ours": (*pair_ours(a, b, names), first - second),
                "other values, ours": (*mean_ours(other, names), 0.0),
            }
            for name, (low, high, truth) in ends.items():
                hits[name] += low - 1e-12 <= truth <= high + 1e-12
                widths[name] += high - low
        for name in found:
            found[name].append((hits[name] / REPEATS, widths[name] / REPEATS))
    return found


def lines(title: str, rows: dict[tuple[int, str], Row]) -> Iterator[str]:
    """A table: mean coverage, the least of all designs, and mean width."""
    names = list(next(iter(rows.values())))
    yield f"## {title}"
    yield ""
    yield f"| clusters | items in each | {' | '.join(names)} |"
    yield "|---" * (len(names) + 2) + "|"
    for (count, size), row in rows.items():
        cells = [
            f"{100 * np.mean([c for c, _ in row[name]]):.1f} ({100 * min(c for c, _ in row[name]):.1f}) "
            f"± {np.mean([w for _, w in row[name]]) / 2:.2f}"
            for name in names
        ]
        yield f"| {count} | {size} | {' | '.join(cells)} |"
    every = {name: [c for row in rows.values() for c, _ in row[name]] for name in names}
    cells = [
        f"**{100 * np.mean(e):.1f} ({100 * min(e):.1f})**, {100 * np.mean(np.array(e) < 0.93):.0f} %"
        for e in every.values()
    ]
    yield f"| all | | {' | '.join(cells)} |"
    yield ""


def main() -> None:
    """Runs the study and writes its page."""
    random = np.random.default_rng(0)
    designs = list(itertools.product(CLUSTERS, SIZES))
    means = {design: mean_of_answers(*design, random) for design in designs}
    pairs = {design: differences(*design, random) for design in designs}
    text = [
        "# Coverage of 95 % intervals over clustered items",
        "",
        f"Per cell: coverage in per cent, mean over designs (least of them) ± mean half-width; {REPEATS} repeats each.",
        f"Designs of means: shares {SHARES} of right answers, correlations {ALIKE} within clusters; of pairs:",
        f"shares {ONE_SIDED} solved by one model alone, from independent to nearly alike.",
        "The last row: all designs, with the share of designs that cover less than 93 %.",
        "",
        *lines("A share of right answers", means),
        *lines("Paired differences, and means of other values", pairs),
    ]
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text("\n".join(text).rstrip() + "\n", encoding="utf-8")
    print(OUT.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
