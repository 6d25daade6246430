"""The section on searches for two objectives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.end_to_end.fronts import FINALISTS, PROMOTED
from experiments.end_to_end.summary import Entry, summaries
from experiments.end_to_end.ways import FRONTS, MORE, PEERS
from experiments.repeats import percent, points


def section(entries: Sequence[Entry]) -> list[str]:
    """The section, from the records of the searches."""
    ways = summaries(entries, [way.name for way in FRONTS])
    lines = [
        "## Two objectives",
        "",
        "Both exams as objectives of NSGA-II. The peers' practice claims its front by search scores, evomerge at most",
        f"{FINALISTS} finalists of {PROMOTED} promoted, by their scores on the test split; no more members are judged",
        "of either. *Hypervolume* is that from the origin; *at once* is the worse exam of the member that by its claim",
        "is best at both; *hold* counts the members' exams whose interval holds the truth.",
        "",
        "| way | runs | items | candidates | true hypervolume | claimed - true | of what 5 times the items give | "
        "true, less the peers' | at once, true | claimed - true | hold | seconds |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, own in ways.items():
        worse = own.column("true at once")
        share = percent(own.share(ways[MORE])) if MORE in ways and name != MORE else ""
        gain = points(own.less(ways[PEERS])) if PEERS in ways and name != PEERS else ""
        held = np.concatenate([own.searches[run]["held"] for run in own.runs])
        items, candidates, seconds = (own.column(field).mean() for field in ("items", "candidates", "seconds"))
        cells = [
            name, str(len(own.runs)), f"{items:,.0f}", f"{candidates:.0f}", percent(own.column("true")),
            points(own.optimism), share, gain, percent(worse), points(own.column("claimed at once") - worse),
            f"{100 * held.mean():.0f} %", f"{seconds:.0f}",
        ]  # fmt: skip
        lines += [f"| {' | '.join(cells)} |"]
    return lines
