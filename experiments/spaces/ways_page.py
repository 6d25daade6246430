"""The page of whole searches: a table of every space and searcher, and a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from experiments.machine import machine
from experiments.repeats import over_repeats, points

__all__ = ["committed", "write"]

Found = Mapping[str, Mapping[int, Mapping[str, Any]]]  # way and seed to figures
FEWEST = 3  # seeds from which an interval is given
PRIOR = " with the prior"  # ends the name of a way that differs by it from the one named before
SHOWN = {"returned": "held-out score of what is returned", "hypervolume": "held-out hypervolume"}


def committed(out: Path) -> list[dict[str, Any]]:
    """Figures that are committed."""
    found: list[dict[str, Any]] = _part(out, "searches")
    return found


def _part(out: Path, name: str) -> Any:
    file = out / "ways.json"
    return json.loads(file.read_text(encoding="utf-8")).get(name, []) if file.exists() else []


def write(searches: Sequence[Mapping[str, Any]], ways: Sequence[str], out: Path) -> None:
    """Writes ``ways.md``, ``ways.json`` and ``ways.png``.

    Args:
        searches: Figures of each search.
        ways: Names in the order of the table; the others are compared with the first.
        out: The folder.
    """
    found = {
        way: {one["seed"]: one for one in sorted(searches, key=lambda one: one["seed"]) if one["way"] == way}
        for way in ways
    }
    found = {way: seeds for way, seeds in found.items() if seeds}
    facts = machine("torch", "pymoo", "optuna", "ribs")
    rival = ways[0]
    lines = ["# Spaces and searchers at equal budget", "", *_introduction(facts, rival)]
    lines += ["", "![Differences of every way to the first, with their intervals over seeds](ways.png)", ""]
    lines += _table(found, rival) + _prior(found)
    earlier = _part(out, "earlier")
    lines += _before(earlier) if earlier else []
    out.mkdir(parents=True, exist_ok=True)
    (out / "ways.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    data = {"machine": facts, "searches": [_rounded(one) for one in searches], "earlier": earlier}
    written = json.dumps(data, separators=(",", ":")).replace('{"way"', '\n{"way"')
    (out / "ways.json").write_text(written + "\n", encoding="utf-8")
    _draw(found, rival, out / "ways.png")


def _introduction(facts: Mapping[str, Any], rival: str) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return [
        "The embedded family: two experts of six layers and half a million parameters, merged by task arithmetic.",
        "Every search has 60 candidates of 32 items of each of two tasks, in batches of 8, `genome=auto` (a line over",
        "depth for each expert: four genes), and all else as users get it. Searchers for one objective and archives",
        "are told the mean of both accuracies. All are judged in one way, whatever they keep: of the five candidates",
        "that are best on the search items the one that is best on 100 selection items of each task is *returned*, and",
        "its score on the test items counts, as many of each task as both have; the *hypervolume* is that of at most",
        "five members of the front that the search items show, on these items. Seeds draw search and selection items,",
        "the same for all ways. *Layers* have a weight per expert and layer (`genome=layer`).",
        "",
        f"Means over seeds with their standard error, per cent, and paired differences to `{rival}` with their 95 %",
        "interval over seeds; each is the interval of one difference, not of all that are here at once. *Different*",
        "are distinct candidates: where a space has few, searches end when they find nothing new.",
        "",
        *_findings(),
        "",
        f"{facts['cpu']}, {facts['date']}, {versions}.",
    ]


def _findings() -> list[str]:
    """What the figures say, written by hand; to be read again whenever they change."""
    return [
        "- Paths through the experts' own layers, none of which is merged, score as the better expert does: 11 points",
        "  below merging here, 10 in the earlier study. A path through the merge is no better than the merge, and",
        "  where both are searched at once the front covers 2.7 points less.",
        "- What rounds, a round of noise, archives, M2N2, CycleQD and searchers that fit a model return is level with",
        "  plain `nsga2`: every interval holds zero, the means lie between -0.5 and +1.3 points.",
        "- The front of `cma_me`, which is told one number where `nsga2` is told two, covers 3.2 points less; that of",
        "  `gp` covers as much less, with an interval that holds zero.",
        "- A prior of where the experts differ does nothing for `gp` with four genes; with eighteen it returns 1.7",
        "  points more. Before kernels were fitted once for a batch it returned as much with and without. Searches of",
        "  `gp` were taken again with that version of it, later than the others.",
        "- A weight per layer costs `nsga2` 1.9 points, and 3.6 of the front, to a line over depth.",
        "- No candidate has failed.",
    ]


def _table(found: Found, rival: str) -> list[str]:
    columns = ["genes", "seeds", "returned", f"less {rival}", "hypervolume", f"less {rival}", "different", "failed"]
    lines = [f"| way | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for way, seeds in found.items():
        cells = [str(next(iter(seeds.values()))["genes"]), str(len(seeds))]
        for what in SHOWN:
            gaps = _gaps(seeds, found[rival], what)
            cells += [_mean([one[what] for one in seeds.values()])]
            cells += ["" if way == rival or len(gaps) < FEWEST else points(gaps)]
        cells += [f"{np.mean([one['different'] for one in seeds.values()]):.0f}"]
        cells += [str(sum(one["failed"] for one in seeds.values()))]
        lines.append(f"| {way} | {' | '.join(cells)} |")
    return lines


def _prior(found: Found) -> list[str]:
    """Ways with a prior less the same without, and less `nsga2` in the same space."""
    lines = ["", "## A prior of where the experts differ", ""]
    lines += [
        "Two objectives, with and without `searcher.options.prior=deltas`, which `gp` alone has: length scales are",
        "shorter for genes that move the merge further in the space of weights. Paired differences over seeds:",
        "",
        "| way | less | seeds | returned | hypervolume |",
        "|---|---|---|---|---|",
    ]
    pairs = [(way, other) for way in found if way.endswith(PRIOR) for other in _others(way) if other in found]
    for way, other in pairs:
        gaps = [_gaps(found[way], found[other], what) for what in SHOWN]
        lines += [f"| {way} | {other} | {len(gaps[0])} | {' | '.join(map(points, gaps))} |"]
    return lines if pairs else []


def _others(way: str) -> tuple[str, str]:
    return way.removesuffix(PRIOR), f"{way.partition(',')[0]}, nsga2"


def _before(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Searches from before there was this study: held-out scores of what they confirmed themselves."""
    studies: dict[str, dict[str, dict[int, float]]] = {}
    for entry in entries:
        studies.setdefault(entry["study"], {}).setdefault(entry["way"], {})[entry["seed"]] = entry["score"]
    lines = ["", "## Earlier studies", ""]
    lines += [
        "Held-out scores of what searches confirmed themselves, and differences to the first row of either: paths of"
    ]
    lines += ["40 candidates, one of which has half of them for the merge and half for a path, and rounds of 60.", ""]
    lines += ["| study | way | seeds | returned | difference |", "|---|---|---|---|---|"]
    for study, ways in studies.items():
        first = next(iter(ways.values()))
        for way, own in ways.items():
            gaps = np.array([score - first[seed] for seed, score in own.items()])
            gap = "" if own is first or len(gaps) < FEWEST else points(gaps)
            lines += [f"| {study} | {way} | {len(own)} | {_mean(list(own.values()))} | {gap} |"]
    return lines


def _gaps(ours: Mapping[int, Mapping[str, Any]], theirs: Mapping[int, Mapping[str, Any]], what: str) -> np.ndarray:
    return np.array([ours[seed][what] - theirs[seed][what] for seed in ours if seed in theirs])


def _mean(shares: Sequence[float]) -> str:
    values = 100 * np.array(shares)
    error = f" ± {values.std(ddof=1) / np.sqrt(len(values)):.1f}" if len(values) > 1 else ""
    return f"{values.mean():.1f}{error}"


def _rounded(one: Mapping[str, Any]) -> dict[str, Any]:
    return {what: round(value, 5) if isinstance(value, float) else value for what, value in one.items()}


def _draw(found: Found, rival: str, path: Path) -> None:
    """Differences and their intervals, a row for each way."""
    mpl.use("agg")
    from matplotlib import pyplot as plt  # the backend has to be chosen first

    ways = [way for way in found if way != rival]
    figure, axes = plt.subplots(1, len(SHOWN), figsize=(11, 0.34 * len(ways) + 1.2), sharey=True, layout="constrained")
    for axis, (what, title) in zip(axes, SHOWN.items(), strict=True):
        for row, way in enumerate(ways):
            gaps = 100 * _gaps(found[way], found[rival], what)
            axis.plot(gaps, np.full(len(gaps), row), "|", color="#b9b6ab", markersize=7)
            mean, low, high = over_repeats(gaps)
            if len(gaps) >= FEWEST:
                axis.plot([low, high], [row, row], color="#1f4e79", linewidth=2)
            axis.plot(mean, row, "o", color="#1f4e79", markersize=5)
        axis.axvline(0, color="#666666", linewidth=0.8)
        axis.set_xlabel(f"points over {rival}", fontsize=9)
        axis.set_title(title, fontsize=10, loc="left")
        axis.tick_params(labelsize=8)
    axes[0].set_yticks(range(len(ways)), [f"{way} ({len(found[way])})" for way in ways])
    axes[0].invert_yaxis()
    figure.savefig(path, dpi=130, metadata={"Software": None})
    plt.close(figure)
